import { describe, expect, it } from "vitest";
import { storySentence } from "../src/sentences/story";

const run = {
  steps: [0, 1, 2, 4, 8],
  shares: [0.01, 0.1, 0.3, 0.4, 0.33],
  accuracy: [0.1, 0.2, 0.5, 0.8, 0.895],
  live: false,
};

describe("the run in a sentence", () => {
  it("tells where it began, its peak, its end and when half of the peak was reached", () => {
    expect(storySentence(run)).toBe(
      "Tuned units: 1% at step 0, most at step 4 (40%), 33% at step 8. Half of the peak was reached at step 2. Accuracy: 10.0% to 89.5%.",
    );
  });

  it("names no peak that reads as an end does", () => {
    expect(storySentence({ ...run, shares: [0, 0.1, 0.2, 0.332, 0.33] })).toMatch(
      /^Tuned units: 0% at step 0, 33% at step 8\./,
    );
    expect(storySentence({ ...run, shares: [0.4, 0.3, 0.2, 0.1, 0.1] })).toMatch(
      /^Tuned units: 40% at step 0, 10% at step 8\. Accuracy/,
    );
  });

  it("leaves out snapshots of which nothing is known, and accuracy where there is none", () => {
    const shares = [NaN, 0.1, 0.3, 0.2, NaN];
    expect(storySentence({ ...run, shares, accuracy: null })).toBe(
      "Tuned units: 10% at step 1, most at step 2 (30%), 20% at step 4. Half of the peak was reached at step 2.",
    );
    expect(storySentence({ ...run, accuracy: [NaN, 1, 1, 1, 1] })).not.toContain("Accuracy");
  });

  it("says of a run that goes on that this is not its end", () => {
    expect(storySentence({ ...run, live: true })).toContain("33% at step 8 so far.");
  });

  it("tells nothing of one or two snapshots, and that nothing was tuned", () => {
    expect(storySentence({ ...run, shares: [NaN, NaN, 0.1, 0.2, NaN] })).toBe("");
    expect(storySentence({ ...run, shares: [0, 0, 0, 0, 0] })).toBe(
      "From step 0 to step 8 no unit was tuned.",
    );
  });
});
