// What a picture is for, and so how large its texts are beside the whole of it.

export interface Format {
  /** Sizes in CSS pixels, and how many pixels of the picture one of them is. */
  width: number;
  height: number;
  ratio: number;
  /** Room at the sides, above the network, and below the key. */
  edge: number;
  top: number;
  foot: number;
  /** Sizes of the title, the largest that fits is taken, and in how many lines. */
  titles: readonly number[];
  titleLines: number;
  /** Whether the sentence that says how to read it stands under the title. */
  explained: boolean;
  text: number;
  /** Lines that the key may take. */
  keyLines: number;
  /** Cells that are smaller have a taller picture, up to that height. */
  leastCell: number;
  tallest: number;
}

const SCREEN: Format = {
  ...{ width: 1280, height: 720, ratio: 2, edge: 32, top: 100, foot: 34, text: 12 },
  ...{ titles: [20, 18, 16, 14], titleLines: 1, explained: true },
  ...{ keyLines: 2, leastCell: 0, tallest: 720 },
};

/** Pictures: `slide` is read from the back of a room, `column` is 3.35 inches wide on paper (600 dpi). */
export const FORMATS = {
  screen: SCREEN,
  slide: {
    ...{ width: 640, height: 360, ratio: 4, edge: 20, top: 74, foot: 26, text: 11 },
    ...{ titles: [17, 15, 14], titleLines: 2, explained: false },
    ...{ keyLines: 2, leastCell: 0, tallest: 360 },
  },
  column: {
    ...{ width: 335, height: 290, ratio: 6, edge: 10, top: 50, foot: 22, text: 10 },
    ...{ titles: [12, 11, 10.5], titleLines: 2, explained: false },
    ...{ keyLines: 3, leastCell: 6, tallest: 580 },
  },
} satisfies Record<string, Format>;

export type FormatName = keyof typeof FORMATS;

/** Of a film: the same picture, 1920 × 1080 and 1280 × 720. */
export const FILMS: Record<"mp4" | "gif", Format> = {
  mp4: { ...SCREEN, ratio: 1.5 },
  gif: { ...SCREEN, ratio: 1 },
};
