// How a row of the legend shares its width: names first, then the picture of their units.

export interface Columns {
  /** Widths in CSS pixels; the spark is 0 where it gives way. */
  spark: number;
  counts: number;
}

const SPARKS = [40, 24, 0];
const GAP = 6;
const SWATCH = 13;
const KEY = 9;
const DIGIT = 7.6;

/**
 * The widest spark with which no fewer names fit than without one.
 *
 * @param names widths of the names
 * @param row width of a row between its paddings
 * @param most the longest count as it is written
 * @param least letters that numbers beside names have room for
 */
export function columnsFor(
  names: readonly number[],
  row: number,
  most: string,
  keys: boolean,
  least = 3,
): Columns {
  const counts = Math.ceil(Math.max(least, most.length) * DIGIT);
  const left = row - (keys ? KEY + GAP : 0) - SWATCH - GAP - GAP - counts;
  const room = (spark: number): number => left - (spark > 0 ? spark + GAP : 0);
  const fitting = (spark: number): number => names.filter((w) => w <= room(spark)).length;
  const best = fitting(0);
  return { spark: SPARKS.find((spark) => fitting(spark) === best) ?? 0, counts };
}
