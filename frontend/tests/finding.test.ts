import { describe, expect, it } from "vitest";
import { searchOf } from "../src/samples/finding";
import { NO_PREDICTION, NOT_KEPT } from "../src/wire/manifest";

const NAMES = ["T-shirt", "Trouser", "Shirt", "Coat"];
const found = (text: string, names = NAMES) => {
  const search = searchOf(text, names);
  return (sample: number, label: number, prediction: number) => search(sample, label, prediction);
};

describe("searchOf", () => {
  it("finds everything while nothing is typed", () => {
    expect(found("  ")(5, NO_PREDICTION, NOT_KEPT)).toBe(true);
  });

  it("finds one sample by its number", () => {
    for (const text of ["12", "#12", " 12 "]) {
      expect(found(text)(12, 0, 0)).toBe(true);
      expect(found(text)(120, 0, 0)).toBe(false);
    }
  });

  it("takes a number that is a class for the class, and with # for the sample", () => {
    const digits = ["0", "1", "2"];
    expect(found("1", digits)(7, 1, 0)).toBe(true);
    expect(found("1", digits)(1, 0, 0)).toBe(false);
    expect(found("#1", digits)(1, 0, 0)).toBe(true);
    expect(found("7", digits)(7, 0, 0)).toBe(true);
  });

  it("finds a class by its whole name before parts of names", () => {
    expect(found("shirt")(0, 2, 0)).toBe(true);
    expect(found("shirt")(0, 0, 0)).toBe(false);
    expect(found("irt")(0, 0, 0)).toBe(true);
    expect(found("irt")(0, 2, 0)).toBe(true);
    expect(found("irt")(0, 3, 0)).toBe(false);
  });

  it("finds what samples are read as, and both at once", () => {
    expect(found("as coat")(0, 0, 3)).toBe(true);
    expect(found("as coat")(0, 3, 0)).toBe(false);
    expect(found("shirt as coat")(0, 2, 3)).toBe(true);
    expect(found("shirt as coat")(0, 0, 3)).toBe(false);
    expect(found("shirt as coat")(0, 2, 2)).toBe(false);
  });

  it("finds nothing by a name that nobody has, not even samples without a class", () => {
    expect(found("boot")(0, NO_PREDICTION, 0)).toBe(false);
    expect(found("as boot")(0, 0, NOT_KEPT)).toBe(false);
  });

  it("lets a class have “as” in its name", () => {
    expect(found("same as coat", ["same as coat", "coat"])(0, 0, 0)).toBe(true);
  });
});
