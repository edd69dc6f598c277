import { describe, expect, it } from "vitest";
import { commonDepth, shortNames } from "../src/names";

describe("layer names", () => {
  it("are the paths while those are short", () => {
    expect(shortNames(["stem", "fc1.relu", "head"])).toEqual(["stem", "fc1.relu", "head"]);
  });

  it("drop leading parts that all share", () => {
    expect(commonDepth(["model.net.a", "model.net.b.c"])).toBe(2);
    expect(shortNames(["model.net.a", "model.net.b"])).toEqual(["a", "b"]);
  });

  it("abbreviate numbered parts, and keep words and the last part", () => {
    expect(
      shortNames(["stem.relu", "block1.conv_a", "layer4.2.relu#1", "blocks.11.mlp.act", "head"]),
    ).toEqual(["stem.relu", "b1.conv_a", "l4.2.relu#1", "b11.mlp.act", "head"]);
  });

  it("stay whole where short ones could not be told apart", () => {
    expect(shortNames(["block1.activation", "branch1.activation"])).toEqual([
      "block1.activation",
      "branch1.activation",
    ]);
  });
});
