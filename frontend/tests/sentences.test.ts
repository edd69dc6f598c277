import { describe, expect, it } from "vitest";
import { cellSentence, type UnitFacts, unitSentence, unitWarning } from "../src/sentences/units";
import { legendTexts } from "../src/sentences/timeline";
import { classSentence } from "../src/sentences/classes";
import { eventSentence, eventWords, kindWords, noiseSentence } from "../src/sentences/events";
import { floorSentence, thresholdSentence } from "../src/sentences/strength";
import { networkSubtitle, networkTitle, type NetworkFacts } from "../src/sentences/network";
import { missingSentence, splitSentence } from "../src/sentences/snapshots";
import { isolated } from "../src/inline";
import {
  HELD,
  NOT_DEFINED,
  NO_DATA,
  SILENT,
  SUPPRESSED,
  TIED,
  UNRELIABLE,
  type Split,
} from "../src/wire/manifest";

const measure = { name: "margin", title: "Margin", about: "", non_negative: false };
const facts: NetworkFacts = {
  step: 200,
  layers: [
    { name: "block1", units: 100, tuned: 3, output: false },
    { name: "fc2", units: 100, tuned: 36, output: false },
    { name: "head", units: 10, tuned: 10, output: true },
  ],
  responding: 200,
  notDefined: 0,
  silent: 10,
  grouping: { name: "true", title: "True label" },
  multilabel: false,
  measure,
  present: ["bag", "coat"],
  classes: 2,
  highlighted: null,
};
const predicted = { name: "predicted", title: "Predicted" };
const layersTuned = (...tuned: number[]): NetworkFacts["layers"] =>
  facts.layers.map((layer, i) => ({ ...layer, tuned: tuned[i] }));

describe("network title", () => {
  it("says the share of units and which inner layers lead and trail", () => {
    expect(networkTitle(facts)).toBe(
      "Step 200: 23% of units are tuned; of the hidden layers, fc2 leads at 36%, block1 trails at 3%.",
    );
  });

  it("calls a layer that is only a number a layer", () => {
    const numbered = facts.layers.map((layer, i) => ({ ...layer, name: `${2 * i + 1}` }));
    expect(networkTitle({ ...facts, layers: numbered })).toContain(
      "; of the hidden layers, layer 3 leads at 36%, layer 1 trails at 3%.",
    );
  });

  it("names one class that has most of the tuned units, before the layers", () => {
    const many = { ...facts, classes: 10, leading: { name: "bag", tuned: 34 } };
    expect(networkTitle(many)).toBe("Step 200: 23% of units are tuned, 69% of them to bag.");
    const title = (more: Partial<NetworkFacts>) => networkTitle({ ...many, ...more });
    // half, or three times its part of the classes, is not reached; or hardly a unit is tuned
    expect(title({ leading: { name: "bag", tuned: 24 } })).not.toContain("bag");
    expect(title({ classes: 4 })).not.toContain("bag");
    const few = layersTuned(3, 6, 10);
    expect(title({ layers: few, leading: { name: "bag", tuned: 19 } })).not.toContain("bag");
  });

  it("names no leader where none leads", () => {
    const title = networkTitle({ ...facts, layers: layersTuned(20, 20, 10) });
    expect(title).toBe("Step 200: 24% of units are tuned.");
  });

  it("names all that lead or trail at the same figure, and none where they are many", () => {
    const more = [...facts.layers, { name: "stem", units: 1000, tuned: 31, output: false }];
    expect(networkTitle({ ...facts, layers: more })).toContain("block1 and stem trail at 3%");
    const many = [...more, { name: "mid", units: 100, tuned: 3, output: false }];
    const title = networkTitle({ ...facts, layers: many });
    expect(title).toMatch(/of the hidden layers, fc2 leads at 36%\.$/);
  });

  it("names a layer that is silent as a whole, which neither leads nor trails", () => {
    const dead = { name: "mid", units: 50, tuned: 0, silent: 50, output: false };
    expect(networkTitle({ ...facts, layers: [...facts.layers, dead] })).toMatch(
      /fc2 leads at 36%, block1 trails at 3%; all of mid is silent\.$/,
    );
    const more = ["a", "b", "c"].map((name) => ({ ...dead, name }));
    expect(networkTitle({ ...facts, layers: [...facts.layers, ...more] })).toMatch(
      /; 3 layers are silent as a whole\.$/,
    );
    const partly = { ...dead, silent: 49 };
    expect(networkTitle({ ...facts, layers: [...facts.layers, partly] })).not.toContain("silent");
  });

  it("says that step 0 is before training, and how many units are tuned even so", () => {
    expect(networkTitle({ ...facts, step: 0, layers: layersTuned(6, 0, 0) })).toBe(
      "Step 0, before training: 3% of units are already tuned to a class.",
    );
    expect(networkTitle({ ...facts, step: 0, layers: layersTuned(1, 0, 0) })).toContain(
      "one unit is already tuned to a class",
    );
    expect(networkTitle({ ...facts, step: 0, layers: layersTuned(0, 0, 0) })).toBe(
      "Step 0, before training: no unit is tuned yet.",
    );
  });

  it("never rounds a few units to none, or nearly all to all", () => {
    expect(networkTitle({ ...facts, layers: layersTuned(1, 0, 0) })).toContain("<1% of units");
    expect(networkTitle({ ...facts, layers: layersTuned(100, 100, 9) })).toContain(">99% of units");
  });

  it("counts the units of a highlighted class", () => {
    const of = (tuned: number, samples = 200) =>
      networkTitle({ ...facts, highlighted: { name: "bag", tuned, suppressed: 0, samples } });
    expect(of(6)).toBe("Step 200: 6 of 210 units are tuned to bag.");
    expect(of(1)).toContain("1 of 210 units is tuned");
  });

  it("says that a class has no samples, not that no unit is tuned to it", () => {
    const of = (samples: number) =>
      networkTitle({
        ...facts,
        grouping: predicted,
        highlighted: { name: "bag", tuned: 0, suppressed: 0, samples },
      });
    expect(of(0)).toBe("Step 200: no sample is predicted as bag.");
    expect(of(2)).toBe("Step 200: only two samples are predicted as bag.");
    expect(of(3)).toContain("0 of 210 units");
  });

  it("has room for a long name: the tip has it whole", () => {
    const name = "a class whose name goes on and on ".repeat(8);
    const long = { ...facts, highlighted: { name, tuned: 6, suppressed: 2, samples: 200 } };
    expect(networkTitle(long).length).toBeLessThan(120);
    expect(networkTitle(long)).toContain("(2 of them are suppressed by it).");
    expect(networkTitle(long)).toContain("a class whose name");
    expect(networkTitle(long, isolated)).toContain(name);
  });

  it("says why nothing can be compared", () => {
    const none = { ...facts, responding: 0, silent: 0, grouping: predicted };
    expect(networkTitle({ ...none, present: ["bag"] })).toBe(
      "Step 200: nothing to compare, every sample is predicted as bag.",
    );
    expect(networkTitle({ ...none, silent: 210 })).toBe("Step 200: every unit is silent.");
    expect(networkTitle({ ...none, present: ["bag"], multilabel: true })).toContain("every label");
  });

  it("says beneath it how many classes are predicted, while not all are", () => {
    expect(networkSubtitle({ ...facts, grouping: predicted, classes: 10 })).toMatch(
      /^2 of 10 classes predicted:/,
    );
    expect(networkSubtitle(facts)).toMatch(
      /^A cell is a unit\. Its color: the true label it responds to most;/,
    );
  });

  it("says beneath it what color, vividness, grey and hollow mean", () => {
    const many = { ...facts, classes: 2 };
    expect(networkSubtitle(many)).toBe(
      "A cell is a unit. Its color: the true label it responds to most; the more vivid, the further ahead of the other. Grey: none is surely first. Hollow: silent.",
    );
    const three = { ...facts, classes: 3, present: ["bag", "coat", "hat"] };
    expect(networkSubtitle(three)).toContain("the further ahead of the next.");
    const index = { name: "cs", title: "Class selectivity", about: "", non_negative: true };
    expect(networkSubtitle({ ...three, measure: index })).toContain(
      "the more vivid, the greater its class selectivity.",
    );
    expect(networkSubtitle({ ...three, level: "finest" })).toContain("finest superclass of it,");
  });

  it("names a grouping of the user's own as it is", () => {
    const grouping = { name: "hospital", title: "hospital" };
    expect(networkSubtitle({ ...facts, grouping })).toMatch(
      /Its color: the class of “hospital” it responds to most;/,
    );
  });
});

const unit: UnitFacts = {
  state: HELD,
  level: 87,
  flags: 0,
  value: 0.94,
  sure: 0.9999,
  preferred: "trouser",
  runnerUp: "dress",
  nPreferred: 200,
  n: 2000,
  counted: "sample",
  activeSamples: 400,
  threshold: 50,
  measure,
};

describe("what a measure has no meaning for", () => {
  const index = { name: "cs", title: "Class selectivity", about: "", non_negative: true };

  it("stands in no share, and is counted", () => {
    expect(networkSubtitle({ ...facts, measure: index, notDefined: 10 })).toContain(
      "10 units that may respond below 0 cannot be judged by it.",
    );
    expect(networkSubtitle(facts)).not.toContain("judged");
  });

  it("is said where nothing else is there", () => {
    const none = { ...facts, layers: [], responding: 0, silent: 0, measure: index, notDefined: 9 };
    expect(networkTitle(none)).toBe(
      "Step 200: class selectivity is not defined for any layer, responses may be negative.",
    );
  });

  it("is said of a unit and of a cell", () => {
    expect(unitSentence({ ...unit, state: NOT_DEFINED, measure: index })).toContain(
      "class selectivity has a meaning only where they cannot",
    );
    expect(cellSentence(NOT_DEFINED, 0, 0, "", 50)).toBe("not defined: responses may be negative");
  });
});

describe("the noise floor", () => {
  it("is told, never below 0, and has its place before it is known", () => {
    expect(floorSentence(0.034)).toMatch(/^Noise floor 0.03 \(dotted\): /);
    expect(floorSentence(-0.01)).toMatch(/^Noise floor 0.00 \(dotted\): /);
    expect(floorSentence(null)).toMatch(/^Noise floor … /);
    expect(floorSentence(null, false)).toMatch(/^Noise floor – /);
  });
});

describe("what is held by few samples", () => {
  it("is called unreliable, in the inspector and in the tip", () => {
    expect(unitWarning({ ...unit, flags: UNRELIABLE })).toBe(
      "Unreliable: fewer than 30 active samples of trouser speak for it.",
    );
    expect(cellSentence(HELD, UNRELIABLE, 70, "bag", 50)).toBe(
      "tuned to bag, strength 0.70, unreliable: few samples",
    );
  });
});

describe("events", () => {
  const plain = { suppressed: false, share: "0.55" };

  it("are told in words", () => {
    expect(eventWords("tuned", "", "bag", plain)).toBe("tuned to bag");
    expect(eventWords("tuned", "", "bag", { ...plain, suppressed: true })).toBe(
      "suppressed by bag",
    );
    expect(eventWords("switched", "coat", "bag", plain)).toBe("coat → bag");
    expect(eventWords("lost", "coat", "", plain)).toBe("no longer tuned to coat");
    expect(eventWords("died", "", "", plain)).toBe("silent");
    expect(eventWords("half_tuned", "", "", plain)).toBe("half tuned, 0.55 of its units");
    expect(eventWords("something new", "", "", plain)).toBe("something new");
  });
});

describe("why a unit has its color", () => {
  it("gives the evidence of a tuned unit in pairs of samples", () => {
    expect(unitSentence(unit)).toBe(
      "Tuned to trouser: in about 97 of 100 pairs a sample of trouser drives it more than a sample of dress.",
    );
  });

  it("does not call a unit tuned that is below the threshold", () => {
    const sentence = unitSentence({ ...unit, level: 49, value: 0.6 });
    expect(sentence).toMatch(/^Prefers trouser: in about 80 of 100 pairs/);
    expect(unitSentence({ ...unit, value: 1 })).toContain("in more than 99 of 100 pairs");
    expect(sentence).toContain("Its strength, 0.49, is below the threshold of 0.50.");
    expect(unitSentence({ ...unit, level: 50 })).toMatch(/^Tuned to/);
  });

  it("turns the sentence around for suppressed units", () => {
    const sentence = unitSentence({ ...unit, flags: SUPPRESSED });
    expect(sentence).toMatch(/^Suppressed by trouser: .* drives it less than a sample of dress/);
  });

  it("says of tied units how sure they are, or that samples are too few", () => {
    expect(unitSentence({ ...unit, state: TIED, sure: 0.63 })).toMatch(
      /^No class is surely first: 0\.63 sure that it is trouser rather than dress/,
    );
    expect(unitSentence({ ...unit, state: TIED, nPreferred: 7 })).toContain("only 7 samples");
  });

  it("says what silent and no data mean, and claims no class for them", () => {
    for (const state of [SILENT, NO_DATA])
      expect(unitSentence({ ...unit, state })).not.toContain("trouser");
    expect(unitSentence({ ...unit, state: SILENT })).toContain("2,000 samples");
    expect(unitSentence({ ...unit, state: SILENT, counted: "label" })).toContain("2,000 labels");
  });

  it("warns of units that few samples activate", () => {
    expect(unitWarning({ ...unit, activeSamples: 1 })).toBe("Active for only 1 of 2,000 samples.");
    expect(unitWarning({ ...unit, activeSamples: 30 })).toBe("");
    expect(unitWarning({ ...unit, activeSamples: 0, state: SILENT })).toBe("");
  });
});

describe("the timeline's legend", () => {
  const all = { accuracy: true, loss: true, ofClass: false, ticks: true, half: true };

  it("explains what is there, in three lengths", () => {
    const [whole, shorter, shortest] = legendTexts({ ...all, notFinite: true });
    expect(whole).toContain("lines: accuracy 0 to 100%, loss (grey) 0 to its greatest");
    expect(whole).toContain("shade: mean strength of the layer, 0 to 1");
    for (const text of [whole, shorter, shortest])
      for (const mark of ["shade:", "ticks:", "◇", "✕"]) expect(text).toContain(mark);
    expect(whole.length).toBeGreaterThan(shorter.length);
    expect(shorter.length).toBeGreaterThan(shortest.length);
  });

  it("explains nothing that is not there", () => {
    const none = { accuracy: false, loss: false, ticks: false, half: false, notFinite: false };
    for (const text of legendTexts({ ...none, ofClass: true })) {
      expect(text).toContain("tuned to it");
      expect(text).not.toMatch(/lines|ticks|◇|✕|mean strength/);
    }
  });
});

describe("events of one snapshot together", () => {
  it("are called by what they are of", () => {
    expect(kindWords("tuned", 3)).toBe("tuned");
    expect(kindWords("lost", 3)).toBe("no longer tuned");
    expect(kindWords("half_tuned", 1)).toBe("layer half tuned");
    expect(kindWords("half_lost", 2)).toBe("layers no longer half tuned");
  });
});

describe("other sentences", () => {
  it("say what a snapshot of a split sums up", () => {
    const split = (fields: Partial<Split>): Split => ({
      ...{ name: "s", kind: "probe", samples: 90, mode: "eval", weights: null, snapshots: 3 },
      ...{ multilabel: false, metrics: [], resources: [], groupings: [], incomplete: [] },
      ...fields,
    });
    expect(splitSentence(split({}))).toBe("probe: the same samples every time");
    expect(splitSentence(split({ weights: "averaged" }))).toBe(
      "probe: the same samples every time, averaged weights",
    );
    expect(splitSentence(split({ kind: "window", mode: "train" }))).toBe(
      "window: the training samples, weights moving, train mode",
    );
    expect(splitSentence(split({ kind: "evaluation" }))).toMatch(/^evaluation: /);
  });

  it("say which parts a merged snapshot lacks", () => {
    const split = {
      incomplete: [
        { snapshot: 1, parts: 3, expected: 4 },
        { snapshot: 2, parts: 3, expected: null },
      ],
    } as unknown as Split;
    expect(missingSentence(split, 0)).toBeUndefined();
    expect(missingSentence(split, 1)).toMatch(/^Merged of 3 of 4 parts: /);
    expect(missingSentence(split, 2)).toContain("3 parts, nobody knows of how many:");
  });

  it("explains the threshold in pairs", () => {
    expect(thresholdSentence(50, measure)).toContain("from 0.50 on");
    expect(thresholdSentence(50, measure)).toContain("75 of 100");
    expect(thresholdSentence(90, measure)).toContain("95 of 100");
  });

  it("says in a tip whether the unit is tuned or only prefers a class", () => {
    expect(cellSentence(HELD, 0, 50, "bag", 50)).toBe("tuned to bag, strength 0.50");
    expect(cellSentence(HELD, 0, 49, "bag", 50)).toBe("prefers bag, strength 0.49");
    expect(cellSentence(TIED, 0, 0, "bag", 50)).toContain("tied");
  });

  it("says what a class is missed as, the most frequent first", () => {
    const others = [
      { name: "coat", samples: 2 },
      { name: "shirt", samples: 15 },
      { name: "bag", samples: 0 },
    ];
    expect(classSentence("dress", 80, 97, others, false)).toBe(
      "82% of 97 samples correct; mistaken for shirt (15) and coat (2).",
    );
    expect(classSentence("dress", 0, 0, others, true)).toBe(
      "No sample is predicted as dress here.",
    );
  });
});

describe("an event", () => {
  const of = {
    ...{ before: "bag", after: "coat", suppressed: false },
    ...{ step: "120", confirmed: "200", snapshots: 5 },
  };

  it("says from which class to which, since when, and when it was sure", () => {
    const text = eventSentence("switched", of);
    expect(text).toContain("From step 120 on coat is ahead of bag");
    expect(text).toContain("sure at step 200");
    expect(text).toContain("snapshot 5 since");
    expect(eventSentence("tuned", { ...of, suppressed: true })).toContain("least to coat");
    for (const kind of ["tuned", "lost", "died", "revived", "half_tuned", "half_lost"])
      expect(eventSentence(kind, of)).toMatch(/^From step 120 on .*sure at step 200/);
  });

  it("is read against what noise alone would give, where that can be said", () => {
    expect(noiseSentence("switched", 0.52, 41)).toBe(
      "Noise alone would give at most 0.5 of the events “switched” in this run; 41 were found.",
    );
    expect(noiseSentence("tuned", 0.01, 1)).toContain("hardly any");
    expect(noiseSentence("died", NaN, 3)).toContain("cannot be said; 3 were found");
  });
});
