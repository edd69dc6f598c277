// What happened, and what made it sure.

import { count, fixed, plural } from "../format";

/** What an event says of its unit or layer. */
export function eventWords(
  kind: string,
  before: string,
  after: string,
  more: { suppressed: boolean; share: string },
): string {
  const by = more.suppressed ? "suppressed by " : "";
  switch (kind) {
    case "tuned":
      return more.suppressed ? `suppressed by ${after}` : `tuned to ${after}`;
    case "switched":
      return `${before} → ${by}${after}`;
    case "lost":
      return before ? `no longer tuned to ${before}` : "no longer tuned";
    case "died":
      return before ? `silent, was tuned to ${before}` : "silent";
    case "revived":
      return "responds again";
    case "half_tuned":
      return `half tuned, ${more.share} of its units`;
    case "half_lost":
      return `less than half tuned, ${more.share} of its units`;
    default:
      return kind;
  }
}

/** What so many events of a kind are, in a list of kinds. */
export function kindWords(kind: string, n: number): string {
  const layers = plural(n, "layer");
  if (kind === "half_tuned") return `${layers} half tuned`;
  if (kind === "half_lost") return `${layers} no longer half tuned`;
  return kind === "lost" ? "no longer tuned" : kind === "died" ? "silent" : kind;
}

const EVENT_TITLES: Record<string, string> = {
  tuned: "Became tuned",
  switched: "Switched to another class",
  lost: "No longer tuned",
  died: "Fell silent",
  revived: "Responds again",
  half_tuned: "Half of its units are tuned",
  half_lost: "Less than half of its units are tuned",
};

export const eventTitle = (kind: string): string => EVENT_TITLES[kind] ?? kind;

/** What an event says, and what made it sure. */
export function eventSentence(
  kind: string,
  of: {
    before: string;
    after: string;
    suppressed: boolean;
    step: string;
    confirmed: string;
    snapshots: number;
  },
): string {
  const sure = `sure at step ${of.confirmed}, the third snapshot in a row`;
  const by = of.suppressed ? "responds least to" : "responds most to";
  switch (kind) {
    case "tuned":
      return `From step ${of.step} on it ${by} ${of.after}, at a strength of 0.50 or more; ${sure} at 0.40 or more.`;
    case "switched":
      return `From step ${of.step} on ${of.after} is ahead of ${of.before}; ${sure} at which the unit surely ${by} it (snapshot ${count(of.snapshots)} since it took the lead).`;
    case "lost":
      return `From step ${of.step} on its strength is below 0.40; ${sure} below 0.50.`;
    case "died":
      return `From step ${of.step} on it gives the same response to every sample; ${sure}.`;
    case "revived":
      return `From step ${of.step} on its responses differ between samples; ${sure}.`;
    case "half_tuned":
      return `From step ${of.step} on half of its units or more are tuned; ${sure} at 40% or more.`;
    case "half_lost":
      return `From step ${of.step} on less than 40% of its units are tuned; ${sure} below 50%.`;
    default:
      return "";
  }
}

/** How many events of a kind noise alone would give, beside how many there are. */
export function noiseSentence(kind: string, expected: number, found: number): string {
  const what = kind.replace("_", " ");
  const n = `${count(found)} ${plural(found, "was", "were")} found`;
  if (Number.isNaN(expected))
    return `How many events “${what}” noise alone would give cannot be said; ${n}.`;
  const most = expected < 0.05 ? "hardly any" : `at most ${fixed(expected, 1)}`;
  return `Noise alone would give ${most} of the events “${what}” in this run; ${n}.`;
}
