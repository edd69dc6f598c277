// Colors of what is shown now, made once for each palette and theme.

import { home } from "../frame/home";
import { palette } from "../state/shown";
import { theme } from "../state/chosen";
import { CellColors, pageColors, type PageColors } from "./colors";

let cells: { palette: Uint8Array; colors: CellColors } | null = null;
let page: { theme: string; colors: PageColors } | null = null;

export function cellColorsNow(): CellColors {
  if (cells?.palette !== palette.peek())
    cells = { palette: palette.peek(), colors: new CellColors(palette.peek()) };
  return cells.colors;
}

export function pageColorsNow(): PageColors {
  if (page?.theme !== theme.peek()) page = { theme: theme.peek(), colors: pageColors(home().root) };
  return page.colors;
}
