// Where the parts of the timeline stand: shared by all that draw in it.

/** Of the axis, from the timeline's top. */
export const AXIS_Y = 178;

export interface Chart {
  /** Pixel of each snapshot. */
  x: Float64Array;
  left: number;
  right: number;
  width: number;
}
