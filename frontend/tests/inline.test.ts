import { describe, expect, it } from "vitest";
import { cut, isolated, said } from "../src/inline";

const [RLO, FSI, LRI, PDI] = ["\u202e", "\u2068", "\u2066", "\u2069"];

/** Isolates still open at the end, and whether one was closed that was not open. */
function balance(text: string): { open: number; stray: boolean } {
  let open = 0;
  let stray = false;
  for (const c of text) {
    if (c >= LRI && c <= FSI) open++;
    if (c === PDI && --open < 0) stray = true;
  }
  return { open, stray };
}

describe("names in sentences", () => {
  it("stand as they are where they are short and plain", () => {
    for (const name of ["T-shirt/top", "b & c", "<b>", "größer", "emoji 👗", "7"])
      expect(said(name)).toBe(name);
  });

  it("are cut by what people see as characters, never within one", () => {
    expect(cut("negative review", 8)).toBe("negativ…");
    expect(cut("👩‍👩‍👧".repeat(9), 3)).toBe("👩‍👩‍👧👩‍👩‍👧…");
    expect(cut("👩‍👩‍👧".repeat(3), 3)).toBe("👩‍👩‍👧".repeat(3));
    expect(said("word ".repeat(99)).length).toBeLessThan(40);
  });

  it("end with their own direction: what turns text turns nothing after it", () => {
    expect(isolated("שלום")).toBe(`${FSI}שלום${PDI}`);
    for (const name of [`a${RLO}b`, `${LRI}a`, `a${PDI}b${RLO}c`, `${PDI}${LRI}${LRI}x`]) {
      expect(isolated(name).startsWith(FSI)).toBe(true);
      expect(balance(isolated(name))).toEqual({ open: 0, stray: false });
    }
  });

  it("cannot close the isolate they stand in", () => {
    const inside = isolated(`a${PDI}${RLO}b`).slice(1, -1);
    expect(balance(inside)).toEqual({ open: 0, stray: false });
    expect(inside).toContain(RLO);
  });
});
