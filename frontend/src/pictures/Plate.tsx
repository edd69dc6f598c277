// One picture of a sheet, as an element of the page.

import { useEffect, useRef } from "preact/hooks";
import { fitCanvas } from "../frame/size";
import { boxIn, drawFrom, type Sheet } from "./sheet";

export function Plate(of: { sheet: Sheet; n: number; side: number; name: string }) {
  const { sheet, n, side, name } = of;
  const canvas = useRef<HTMLCanvasElement>(null);
  const [w, h] = boxIn(side, sheet.width, sheet.height);
  useEffect(() => {
    if (!canvas.current) return;
    const g = fitCanvas(canvas.current, w, h);
    g.clearRect(0, 0, w, h);
    drawFrom(g, sheet, n, 0, 0, w, h);
  }, [sheet, n, w, h]);
  return <canvas ref={canvas} class="plate" role="img" aria-label={name} title={name} />;
}
