// A canvas of the timeline, drawn again when what it shows changes.

import { effect } from "@preact/signals";
import type { RefObject } from "preact";
import { useLayoutEffect } from "preact/hooks";
import type { Chart } from "./chart";

/** Draws at once where another part of the run is shown, so that it moves with the axis; else in the
 * next frame. */
export function useDrawing(
  canvas: RefObject<HTMLCanvasElement | null>,
  chart: Chart,
  draw: (canvas: HTMLCanvasElement, chart: Chart) => void,
  watch: () => void,
): void {
  useLayoutEffect(() => {
    let pending = -1;
    const stop = effect(() => {
      watch();
      if (pending < 0) {
        pending = 0;
        if (canvas.current) draw(canvas.current, chart);
        return;
      }
      pending ||= requestAnimationFrame(() => {
        pending = 0;
        if (canvas.current) draw(canvas.current, chart);
      });
    });
    return () => {
      stop();
      cancelAnimationFrame(pending);
    };
  }, [chart]);
}
