import { describe, expect, it } from "vitest";
import { differing, tunedShare } from "../src/compare/counts";
import { compareSentence, compareSubtitle, configText, sideText } from "../src/compare/sentences";
import { onTimeOf, reordered } from "../src/compare/order";
import { BINS, HELD, LEVELS, NOT_DEFINED, STATES, TIED } from "../src/wire/manifest";

const a = { step: 178, epoch: 3, accuracy: 0.915, share: 0.22 };
const b = { step: 180, epoch: 3, accuracy: 0.9, share: 0.15 };

describe("the sentence above two", () => {
  it("says where both stand, by what they are aligned by", () => {
    const say = (by: "step" | "epoch" | "accuracy", second = b) =>
      compareSentence(by, true, a, second, null);
    expect(say("step")).toBe("Step 178 of A, 180 of B: 22% of units are tuned in A, 15% in B.");
    expect(say("step", { ...b, step: 178 })).toMatch(/^Step 178: /);
    expect(say("epoch")).toMatch(/^Epoch 3: /);
    expect(say("accuracy")).toMatch(/^At 91.5% accuracy in A, 90.0% in B: /);
  });
  it("names the class that is highlighted", () => {
    expect(compareSentence("epoch", true, a, b, "cat")).toContain("are tuned to cat in A");
  });
  it("tells how many of the same units differ, and where most do", () => {
    const differ = { units: 8, all: 418, layer: "conv3", inLayer: 4 };
    const say = (more: Partial<typeof differ>, share = 0.22) =>
      compareSentence("step", true, { ...a, step: 180 }, { ...b, share }, null, {
        ...differ,
        ...more,
      });
    expect(say({}, 0.15)).toBe(
      "Step 180: 8 of 418 units differ, most in conv3 (4); 22% are tuned in A, 15% in B.",
    );
    expect(say({ units: 1, inLayer: 1 })).toBe(
      "Step 180: 1 of 418 units differs; 22% are tuned in both.",
    );
    expect(say({ units: 0, inLayer: 0 })).toContain("no unit differs; ");
    expect(say({}, NaN)).toContain("no data in B");
  });
  it("claims nothing where there is no number", () => {
    expect(compareSentence("step", true, a, { ...b, share: NaN }, null)).toContain("no data in B");
    expect(compareSentence("accuracy", false, a, b, null)).toContain("cannot be aligned");
    expect(compareSentence("accuracy", true, a, { ...b, step: NaN }, null)).toContain("A has no");
    expect(sideText({ ...b, step: NaN })).toBe("no snapshot to stand here");
    expect(sideText({ ...b, accuracy: NaN })).toBe("step 180");
  });
});

describe("what is said beneath", () => {
  const whole = { sameUnits: false, otherSamples: false, layers: null, n: [300, 300] as const };
  it("never pretends that units of two runs are the same", () => {
    expect(compareSubtitle(whole)).toContain("unit 7 of A is not unit 7 of B");
    expect(compareSubtitle({ ...whole, sameUnits: true })).toMatch(
      /^The same units in the same places:/,
    );
  });
  it("warns of other samples, and of other numbers of them", () => {
    expect(compareSubtitle({ ...whole, otherSamples: true })).toContain("difference may be theirs");
    expect(compareSubtitle({ ...whole, n: [2000, 512] })).toContain(
      "2,000 samples in A and 512 in B",
    );
  });
  it("lists a few of the settings that differ", () => {
    expect(configText(["lr", "seed"])).toBe("Configs differ in lr and seed");
    expect(configText(["a", "b", "c", "d", "e"])).toBe("Configs differ in a, b, c and 2 more");
  });
});

describe("colors of the second", () => {
  const palette = Uint8Array.from({ length: 3 * 4 * LEVELS }, (_, i) =>
    Math.floor(i / (4 * LEVELS)),
  );
  it("are those of the first by name, wherever a class stands", () => {
    const found = reordered(palette, [2, 0, 1]);
    const first = (k: number) => found[k * 4 * LEVELS];
    // the first run's class 0 is the second's class 2
    expect([first(2), first(0), first(1)]).toEqual([0, 1, 2]);
  });
  it("are untouched where classes are the same, or not of this grouping", () => {
    expect(reordered(palette, null)).toBe(palette);
    expect(reordered(palette, [1, 0])).toBe(palette);
  });
});

describe("shares on the time of the first", () => {
  it("are those of the paired snapshots, and unknown where there is none", () => {
    const shares = {
      values: Float32Array.from([1, 2, 3, 4]),
      columns: [{ title: "", layers: [0] }],
      classes: 2,
    };
    expect([...onTimeOf(shares, [1, -1, 0, 1]).values]).toEqual([3, 4, NaN, NaN, 1, 2, 3, 4]);
  });
});

describe("the share of units tuned", () => {
  const layers = [{ units: 6 }, { units: 4 }] as never;
  const states = new Uint32Array(2 * STATES);
  const bins = new Uint32Array(2 * BINS);
  states[HELD] = 6;
  states[STATES + NOT_DEFINED] = 4;
  bins[10] = 2;
  bins[4] = 4;
  const classBins = new Uint32Array(2 * BINS);
  classBins[BINS + 12] = 1;
  const track = {
    summary: {
      states,
      bins,
      n: new Uint32Array(2),
      meanStrength: new Float32Array(2),
      missing: new Uint8Array(1),
    },
    classBins,
    grouping: { name: "true", title: "", classes: ["x", "y"] },
  };
  const open = { layers, units: 10 };
  it("is of the units for which the measure has a meaning", () => {
    expect(tunedShare(open, track, 0, -1, 50)).toBeCloseTo(2 / 6);
    expect(tunedShare(open, track, 0, 1, 50)).toBeCloseTo(1 / 6);
  });
  it("is unknown where no unit has data, and never 0", () => {
    const empty = { ...track, summary: { ...track.summary, states: new Uint32Array(2 * STATES) } };
    expect(tunedShare(open, empty, 0, -1, 50)).toBeNaN();
  });
});

describe("the same units, read twice", () => {
  const layers = [
    { offset: 0, units: 3 },
    { offset: 3, units: 2 },
  ];
  const cells = (preferred: number[], level: number[], state = [0, 0, 0, 0, 0]) => ({
    preferred: Uint16Array.from(preferred),
    level: Uint8Array.from(level),
    state: Uint8Array.from(state),
    flags: new Uint8Array(5),
  });
  const a = cells([0, 1, 0, 1, 1], [60, 60, 60, 60, 20]);

  it("differ where one is tuned on one side alone, or to another class", () => {
    const same = [0, 1];
    expect(differing(a, a, layers, same, 50, -1)).toEqual({ units: 0, layer: -1, inLayer: 0 });
    // another class; below the threshold; not held; tuned on the other side alone
    const b = cells([1, 1, 0, 1, 1], [60, 40, 60, 60, 60], [0, 0, 0, TIED, 0]);
    expect(differing(a, b, layers, same, 50, -1)).toEqual({ units: 4, layer: 0, inLayer: 2 });
    // by the class 0 alone the first unit differs, whose class was it
    expect(differing(a, b, layers, same, 50, 0)).toEqual({ units: 1, layer: 0, inLayer: 1 });
  });

  it("are of the same class where the second has it in another place", () => {
    const b = cells([1, 0, 1, 0, 0], [60, 60, 60, 60, 20]);
    expect(differing(a, b, layers, [1, 0], 50, -1).units).toBe(0);
    expect(differing(a, b, layers, [0, 1], 50, -1).units).toBe(4);
  });
});
