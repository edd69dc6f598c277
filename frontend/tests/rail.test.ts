import { describe, expect, it } from "vitest";
import { among, pinsOf, pinsText, toggled, withPins } from "../src/rail/pins";
import { above, rowsOf, type Listing } from "../src/rail/rows";
import {
  byLevel,
  groupAt,
  groupingNamed,
  levelsOf,
  levelWords,
  orderOf,
  ownClasses,
  sharedClasses,
} from "../src/run/groupings";
import type { Grouping, Split } from "../src/wire/manifest";

const animals: Grouping = {
  name: "true",
  title: "True label",
  classes: ["cat", "oak", "dog", "Élm", "trout"],
  superclasses: {
    found: false,
    levels: [
      { names: ["pet", "tree", "trout"], group: [0, 1, 0, 1, 2] },
      { names: ["animal", "tree"], group: [0, 1, 0, 1, 0] },
    ],
  },
};
const plain: Grouping = { name: "own", title: "Own", classes: ["x", "y10", "y9"] };
const usual: Listing = {
  rank: null,
  byName: false,
  bySuperclass: false,
  query: "",
  opened: new Set(),
};
const said = (grouping: Grouping, how: Partial<Listing>): string[] =>
  rowsOf(grouping, { ...usual, ...how }).map(
    (row) => `${" ".repeat(row.depth)}${row.name}${row.itself ? "!" : ""}${row.cls < 0 ? ">" : ""}`,
  );

describe("groupings by level", () => {
  const finest = byLevel(animals, "finest");

  it("are the classes, the finest that holds, and each level of superclasses", () => {
    expect(levelsOf(animals)).toEqual(["class", "finest", 1, 2]);
    expect(levelsOf(plain)).toEqual(["class"]);
    expect(finest.name).toBe("true~finest");
    expect(finest.classes.slice(5)).toEqual(["pet", "tree", "trout", "animal", "tree"]);
    expect(byLevel(finest, 2).classes).toEqual(["animal", "tree"]);
    expect(byLevel(finest, "class")).toBe(animals);
    const split = { groupings: [animals, plain] } as unknown as Split;
    expect(groupingNamed(split, "true~finest")).toBe(finest);
    expect(groupingNamed(split, "own~1")).toBeUndefined();
  });

  it("say of a superclass that nothing finer holds", () => {
    expect(levelWords(finest, 0)).toBe("");
    expect(levelWords(finest, 5)).toContain("no class surely holds");
    expect(levelWords(finest, 8)).toContain("narrower");
    expect(levelWords(byLevel(animals, 1), 0)).toBe("");
    expect(groupAt(finest, 8)?.members).toEqual([0, 2, 4]);
    expect(groupAt(byLevel(animals, 1), 1)?.members).toEqual([1, 3]);
  });

  it("show those of a superclass side by side, after it", () => {
    expect(orderOf(animals).map((k) => animals.classes[k])).toEqual([
      "cat",
      "dog",
      "trout",
      "oak",
      "Élm",
    ]);
    const order = orderOf(finest);
    expect([...order].sort((a, b) => a - b)).toEqual(finest.classes.map((_, k) => k));
    expect(order[0]).toBe(8);
    expect(order.indexOf(5)).toBeLessThan(order.indexOf(0));
    expect(order.indexOf(1)).toBeGreaterThan(order.indexOf(9));
    expect(orderOf(plain)).toEqual([0, 1, 2]);
  });

  it("have the same classes as far as these are the same", () => {
    expect(sharedClasses(animals, finest)).toBe(5);
    expect(sharedClasses(animals, byLevel(animals, 1))).toBe(0);
    expect(sharedClasses(animals, plain)).toBe(0);
    expect(sharedClasses(finest, byLevel({ ...animals, name: "predicted" }, "finest"))).toBe(10);
    expect(sharedClasses(null, animals)).toBe(0);
    expect(ownClasses(byLevel(animals, 1))).toBe(0);
  });
});

describe("the list of classes", () => {
  it("is as given, by name with numbers as numbers, or by rank with what is unknown last", () => {
    expect(said(plain, {})).toEqual(["x", "y10", "y9"]);
    expect(said(plain, { byName: true })).toEqual(["x", "y9", "y10"]);
    expect(said(plain, { rank: [NaN, 1, 2] })).toEqual(["y9", "y10", "x"]);
    expect(said(animals, { rank: [0, 0, 0, 0, 0] })[1]).toBe("dog");
  });

  it("opens superclasses level by level", () => {
    expect(said(animals, { bySuperclass: true })).toEqual(["animal>", "tree>"]);
    expect(said(animals, { bySuperclass: true, opened: new Set([3, 0]) })).toEqual([
      "animal>",
      " pet>",
      "  cat",
      "  dog",
      " trout>",
      "tree>",
    ]);
  });

  it("has a superclass's own units apart, where units may be of superclasses", () => {
    const finest = byLevel(animals, "finest");
    const rows = rowsOf(finest, { ...usual, bySuperclass: true, opened: new Set([3]) });
    expect(rows.map((row) => [row.name, row.cls])).toEqual([
      ["animal", -1],
      ["animal", 8],
      ["pet", -1],
      ["trout", -1],
      ["tree", -1],
    ]);
    expect([...rows[0].counted].sort((a, b) => a - b)).toEqual([0, 2, 4, 5, 7, 8]);
    expect([...rows[2].counted].sort((a, b) => a - b)).toEqual([0, 2, 5]);
    expect(above(finest, 0)).toEqual([0, 3]);
    expect(above(finest, 5)).toEqual([0, 3]);
  });

  it("finds what is typed without case and accents, beginnings first", () => {
    expect(said(animals, { query: " ELM" })).toEqual(["Élm"]);
    expect(said(animals, { query: "t" })).toEqual(["trout", "cat"]);
    expect(said(plain, { query: "<img" })).toEqual([]);
  });
});

describe("pins", () => {
  it("keep their slots when another is unpinned, and a new one takes what is free", () => {
    const three = [4, 7, 9].reduce((pins, k) => toggled(pins, k) ?? pins, pinsOf("", 10));
    const two = toggled(three, 7) ?? [];
    expect(pinsText(two)).toBe("4,,9");
    expect(pinsText(toggled(two, 2) ?? [])).toBe("4,2,9");
    expect(pinsText(toggled(two, 9) ?? [])).toBe("4");
    expect(toggled([0, 1, 2, 3, 4, 5, 6, 7], 8)).toBeNull();
  });

  it("are read as they are written, without what is not there or twice", () => {
    expect(pinsOf("4,,9", 10)).toEqual([4, -1, 9]);
    expect(pinsOf("4,4,99", 10)).toEqual([4]);
    expect(pinsOf("", 10)).toEqual([]);
    expect(among([4, 7, 2], 5)).toEqual([4, -1, 2]);
  });

  it("take the hues of their slots; others are grey, but for colors of the user's own", () => {
    const own = Uint8Array.from([1, 2, 3, 4].flatMap((k) => Array<number>(4).fill(k)));
    const hues = Uint8Array.from([11, 12, 13].flatMap((k) => Array<number>(4).fill(k)));
    const grey = new Uint8Array(4).fill(99);
    const first = (table: Uint8Array): number[] => [0, 1, 2, 3].map((k) => table[4 * k]);
    expect(first(withPins(own, [2, -1, 0], hues, grey, [3], 1))).toEqual([13, 99, 11, 4]);
    expect(first(withPins(own, [3, 2], hues, null, [3], 1))).toEqual([1, 2, 12, 4]);
    expect(first(own)).toEqual([1, 2, 3, 4]);
  });
});
