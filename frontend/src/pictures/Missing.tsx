// What was not recorded, and what to pass to the recorder so that it is.

import type { Session } from "../run/session";

interface Recordable {
  /** Its name in the export's `left_out`. */
  part: string;
  what: string;
  are: boolean;
  /** What is passed to the Recorder. */
  pass: string;
  or?: [pass: string, what: string];
}

const MAPS: Recordable = {
  part: "maps of layers",
  what: "Where units respond",
  are: false,
  pass: "maps=True",
  or: ['maps=["conv*"]', "some layers alone"],
};
const WATCHED: Recordable = {
  part: "feature maps of watched samples",
  what: "Feature maps of samples",
  are: true,
  pass: "watch=8",
  or: ["watch=[3, 14]", "samples of your choice"],
};
const FIRST_WEIGHTS: Recordable = {
  part: "first weights",
  what: "First weights",
  are: true,
  pass: "first_weights=True",
};
const RESPONSES: Recordable = {
  part: "",
  what: "Responses to single samples",
  are: true,
  pass: "keep_responses=True",
};

export const RECORDABLE = {
  maps: MAPS,
  unit_maps: { ...MAPS, part: "maps of units" },
  watched: WATCHED,
  first_weights: FIRST_WEIGHTS,
  through_layers: RESPONSES,
} as const;

export function Missing({ open, what }: { open: Session; what: keyof typeof RECORDABLE }) {
  const { part, what: name, are, pass, or } = RECORDABLE[what];
  const testId = `missing-${what}`;
  // how a sample goes through the layers is worked out when it is asked for: no file has it
  const left = what === "through_layers" ? open.manifest.left_out : open.leftOut(part);
  if (left)
    return (
      <p class="note" data-testid={testId}>
        {name} {are ? "are" : "is"} not in this file: huelapse view shows {are ? "them" : "it"}.
      </p>
    );
  return (
    <p class="note" data-testid={testId}>
      {name} {are ? "were" : "was"} not recorded. Pass <code>{pass}</code> to Recorder
      {or && (
        <>
          , or <code>{or[0]}</code> for {or[1]}
        </>
      )}
      {open.split.kind === "probe" ? "" : "; a probe alone keeps them"}.
    </p>
  );
}
