import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";

export const tip = signal<{ x: number; y: number; content: ComponentChildren } | null>(null);

export const hideTip = (): void => {
  tip.value = null;
};

const BESIDE = 14;
const MARGIN = 6;

/** Follows the pointer, and stays within the page. */
export function Tip() {
  const box = useRef<HTMLDivElement>(null);
  const shown = tip.value;
  useLayoutEffect(() => {
    const element = box.current;
    if (!element || !shown) return;
    const { width, height } = element.getBoundingClientRect();
    const page = (element.parentElement as HTMLElement).getBoundingClientRect();
    const within = (v: number, most: number): number =>
      Math.max(MARGIN, Math.min(v, most - MARGIN));
    const below = shown.y - page.top + BESIDE + height < page.height - MARGIN;
    const y = shown.y - page.top + (below ? BESIDE : -BESIDE - height);
    element.style.left = `${within(shown.x - page.left + BESIDE, page.width - width)}px`;
    element.style.top = `${within(y, page.height - height)}px`;
  });
  return (
    <div ref={box} class="tip" role="tooltip" hidden={!shown}>
      {shown?.content}
    </div>
  );
}
