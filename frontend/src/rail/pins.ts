// Pins: up to eight of many classes that keep a hue of their own, while all others are grey. Each has
// a slot, and a slot its hue, so that unpinning one leaves the others as they are.

export const MOST_PINS = 8;
/** In place of a class, where a slot is free. */
export const FREE = -1;

export type Pins = readonly number[];

const TEXT = /^\d{0,5}(,\d{0,5}){0,7}$/;

/** "12,,40": the classes of the slots in order, nothing where one is free. */
export const pinsText = (pins: Pins): string => pins.map((k) => (k < 0 ? "" : k)).join();

export const isPinsText = (text: string): boolean => TEXT.test(text);

/** Of these classes, each once. */
export function pinsOf(text: string, classes: number): Pins {
  const given =
    text === "" ? [] : text.split(",").map((part) => (part === "" ? FREE : Number(part)));
  return trimmed(given.map((k, i) => (k < classes && given.indexOf(k) === i ? k : FREE)));
}

/** With the class if it was not pinned, without it if it was; null where there is no slot left. */
export function toggled(pins: Pins, cls: number): Pins | null {
  const slot = pins.indexOf(cls);
  if (slot >= 0) return trimmed(pins.map((k) => (k === cls ? FREE : k)));
  const free = pins.indexOf(FREE);
  if (free >= 0) return pins.map((k, i) => (i === free ? cls : k));
  return pins.length < MOST_PINS ? [...pins, cls] : null;
}

/** Those among the first so many classes; the others leave their slots. */
export const among = (pins: Pins, classes: number): Pins =>
  trimmed(pins.map((k) => (k < classes ? k : FREE)));

export const pinned = (pins: Pins): number[] => pins.filter((k) => k >= 0);

function trimmed(pins: Pins): Pins {
  let end = pins.length;
  while (end > 0 && pins[end - 1] < 0) end--;
  return pins.slice(0, end);
}

/** A palette, `[class, level, 4]`, in which pinned classes have the hues of their slots.
 *
 * @param own of all classes where nothing is pinned
 * @param hues of the slots, `[slot, level, 4]`
 * @param rest `[1, level, 4]` of classes that are not pinned; null where they keep theirs
 * @param colored classes with a color of the user's own, which they keep */
export function withPins(
  own: Uint8Array,
  pins: Pins,
  hues: Uint8Array,
  rest: Uint8Array | null,
  colored: readonly number[],
  levels: number,
): Uint8Array {
  const row = 4 * levels;
  const made = own.slice();
  if (rest)
    for (let k = 0; k < made.length / row; k++) if (!colored.includes(k)) made.set(rest, k * row);
  pins.forEach((k, slot) => {
    if (k >= 0 && !colored.includes(k))
      made.set(hues.subarray(slot * row, (slot + 1) * row), k * row);
  });
  return made;
}
