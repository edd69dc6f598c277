import { describe, expect, it } from "vitest";
import { commonDepth, shortNames } from "../src/names";

describe("layer names", () => {
  it("are the paths while those are short", () => {
    expect(shortNames(["stem", "fc1.out", "head"])).toEqual(["stem", "fc1.out", "head"]);
  });

  it("drop leading parts that all share", () => {
    expect(commonDepth(["model.net.a", "model.net.b.c"])).toBe(2);
    expect(shortNames(["model.net.a", "model.net.b"])).toEqual(["a", "b"]);
  });

  it("drop a last part that says nothing, unless another layer stands below the rest", () => {
    expect(shortNames(["stem.2", "block1.relu", "block1.join", "fc1.1", "output"])).toEqual([
      "stem",
      "block1.relu",
      "block1.join",
      "fc1",
      "output",
    ]);
    expect(shortNames(["features.0", "features.3"])).toEqual(["0", "3"]);
    expect(shortNames(["net.features.0", "net.features.3", "head"])).toContain("net.features.3");
  });

  it("abbreviate numbered parts, and keep words and the last part", () => {
    expect(
      shortNames(["stem.relu", "block1.conv_a", "layer4.2.relu#1", "blocks.11.mlp.out", "fc1.out"]),
    ).toEqual(["stem", "b1.conv_a", "l4.2.relu#1", "b11.mlp.out", "fc1.out"]);
  });

  it("stay whole where short ones could not be told apart", () => {
    expect(shortNames(["block1.shortcut", "branch1.shortcut"])).toEqual([
      "block1.shortcut",
      "branch1.shortcut",
    ]);
  });
});
