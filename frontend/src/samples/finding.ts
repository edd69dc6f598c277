// Samples found by what is typed: a number, a class, what they are read as.

/** Whether a sample with this class, read as that one, is what was searched for. */
export type Search = (sample: number, label: number, prediction: number) => boolean;

/** "12" or "#12" is a sample; "shirt" all of classes that are called so or hold it in their name; "as coat"
 * what is read as that now; "shirt as coat" both. A class that is called "12" wins over the number. */
export function searchOf(text: string, names: readonly string[]): Search {
  const wanted = text.trim().toLowerCase();
  if (wanted === "") return () => true;
  const lower = names.map((name) => name.toLowerCase());
  const number = /^#?(\d{1,9})$/.exec(wanted);
  if (number && !lower.includes(wanted)) return (i) => i === Number(number[1]);
  const [of, as] = sides(wanted, lower);
  const [labels, answers] = [called(of, lower), called(as, lower)];
  return (_, label, prediction) =>
    (!labels || labels.has(label)) && (!answers || answers.has(prediction));
}

/** What stands before and after the word "as"; a class may itself have it in its name. */
function sides(text: string, names: readonly string[]): [of: string, as: string] {
  if (names.includes(text)) return [text, ""];
  const split = /^(?:(.*?)\s+)?as\s+(.+)$/.exec(text);
  return split ? [split[1] ?? "", split[2]] : [text, ""];
}

/** Classes of exactly that name, else those that have it in theirs; null for all, those without too. */
function called(text: string, names: readonly string[]): Set<number> | null {
  if (text === "") return null;
  const exact = names.indexOf(text);
  if (exact >= 0) return new Set([exact]);
  return new Set(names.flatMap((name, k) => (name.includes(text) ? [k] : [])));
}
