// A term that says what it means, and where it is from, when it is pointed at.

import { hideTip, tip } from "../frame/tip";

export function Source({ term, text }: { term: string; text: string }) {
  const show = (element: HTMLElement): void => {
    const box = element.getBoundingClientRect();
    tip.value = { x: box.left - 14, y: box.bottom - 8, content: text };
  };
  return (
    <button
      type="button"
      class="source"
      aria-label={`${term}: ${text}`}
      onPointerEnter={(event) => show(event.currentTarget)}
      onPointerLeave={hideTip}
      onFocus={(event) => show(event.currentTarget)}
      onBlur={hideTip}
    >
      {term}
    </button>
  );
}
