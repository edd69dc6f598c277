// Where the heat map and the kymograph of one layer stand. Both share their columns: one per unit.

export interface LayerLayout {
  /** Pixels of a column. */
  column: number;
  /** Columns that are drawn; fewer than units where a canvas could not hold all. */
  columns: number;
  /** Rows of the heat map, and pixels of each; fewer than classes where there is no room for all. */
  heatRows: number;
  heatRow: number;
  /** The same of the kymograph, whose rows are snapshots. */
  timeRows: number;
  timeRow: number;
  /** From the top: where the kymograph begins. */
  timeTop: number;
  width: number;
  height: number;
}

const WIDEST_COLUMN = 16;
const TALLEST_CLASS = 20;
const TALLEST_SNAPSHOT = 14;
/** Of the height, at most, for the heat map. */
const HEAT_SHARE = 0.44;
/** Between the two, with the second's title. */
export const BETWEEN = 34;
/** More columns than a canvas can have in every browser. */
const MOST_COLUMNS = 12_000;

export function layoutLayer(
  units: number,
  classes: number,
  snapshots: number,
  room: { width: number; height: number },
): LayerLayout {
  const columns = Math.max(1, Math.min(units, MOST_COLUMNS));
  const column = Math.min(WIDEST_COLUMN, Math.max(1, Math.floor(room.width / columns)));
  const most = Math.max(1, Math.floor(room.height * HEAT_SHARE));
  const heatRows = Math.max(1, Math.min(classes, most));
  const heatRow = Math.min(TALLEST_CLASS, Math.max(1, Math.floor(most / heatRows)));
  const timeTop = heatRows * heatRow + BETWEEN;
  const left = Math.max(1, Math.floor(room.height - timeTop));
  const timeRows = Math.max(1, Math.min(snapshots, left));
  const timeRow = Math.min(TALLEST_SNAPSHOT, Math.max(1, Math.floor(left / timeRows)));
  return {
    ...{ column, columns, heatRows, heatRow, timeRows, timeRow, timeTop },
    width: columns * column,
    height: timeTop + timeRows * timeRow,
  };
}

/** Which of so many things a row or column shows: the one in its middle. */
export function shownAt(i: number, rows: number, things: number): number {
  return rows >= things ? i : Math.floor(((i + 0.5) * things) / rows);
}

/** The row or column in which one of the things lies. */
export function placeOf(thing: number, rows: number, things: number): number {
  return rows >= things ? thing : Math.min(rows - 1, Math.floor((thing * rows) / things));
}

/** Rows whose step is written beside them: no two closer than a line of text. */
export function labelledRows(rows: number, rowHeight: number, line = 14): number[] {
  const every = Math.max(1, Math.ceil(line / rowHeight));
  const shown: number[] = [];
  for (let i = 0; i < rows; i += every) shown.push(i);
  return shown;
}
