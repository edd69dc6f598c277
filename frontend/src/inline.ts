// Names inside sentences. A class may be called anything: a long name must not push the page about,
// and one written from right to left, or with characters that turn text, must not turn the rest.

/** Characters of a name that a sentence has room for. */
const ROOM = 28;

const graphemes = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** The first characters of a name, as people count them, and an ellipsis where there are more. */
export function cut(name: string, most: number): string {
  if (name.length <= most) return name;
  const characters = Array.from(graphemes.segment(name), (part) => part.segment);
  if (characters.length <= most) return name;
  return `${characters
    .slice(0, most - 1)
    .join("")
    .trimEnd()}…`;
}

/** Letters written from right to left, and controls that embed, override or isolate. */
const TURNS =
  /[\u0590-\u08ff\u200f\u202a-\u202e\u2066-\u2069\ufb1d-\ufdff\ufe70-\ufefc\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;
const [OPENS, CLOSE, FIRST_STRONG] = [/[\u2066-\u2068]/, "\u2069", "\u2068"];

/** A name whose direction ends with it: within a Unicode isolate that it cannot close by itself. */
export function isolated(name: string): string {
  if (!TURNS.test(name)) return name;
  let depth = 0;
  let inside = "";
  for (const character of name) {
    if (OPENS.test(character)) depth++;
    else if (character === CLOSE && --depth < 0) {
      depth = 0;
      continue;
    }
    inside += character;
  }
  return FIRST_STRONG + inside + CLOSE.repeat(depth + 1);
}

/** How names stand in a sentence: `said` where room is short, `isolated` in tips. */
export type Say = (name: string) => string;

export const said: Say = (name) => isolated(cut(name, ROOM));
