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
    const root = document.documentElement;
    const within = (v: number, most: number): number =>
      Math.max(MARGIN, Math.min(v, most - MARGIN));
    const below = shown.y + BESIDE + height < root.clientHeight - MARGIN;
    const y = below ? shown.y + BESIDE : shown.y - BESIDE - height;
    element.style.left = `${within(shown.x + BESIDE, root.clientWidth - width)}px`;
    element.style.top = `${within(y, root.clientHeight - height)}px`;
  });
  return (
    <div ref={box} class="tip" role="tooltip" hidden={!shown}>
      {shown?.content}
    </div>
  );
}
