// The part of the run that the axis shows: chosen with the wheel, two fingers, the bar or keys, and
// moved along with a playhead that leaves it.

import { computed, effect } from "@preact/signals";
import { positions } from "../state/shown";
import { session, snapshot, zoom } from "../state/chosen";
import { fitted, holding, moved, positionAt, scaled, type Span } from "./span";

/** Runs longer than this have a bar from the start. */
const LONG = 120;

export const barred = computed(() => (session.value?.snapshots ?? 0) > LONG || zoom.value !== null);

const whole = (): Span => ({ from: 0, to: positions.peek().length - 1 });

export const shownSpan = (): Span => zoom.peek() ?? whole();

/** Closer or farther around a position of the axis; by default the playhead's. */
export function zoomBy(factor: number, at = positions.peek()[snapshot.peek()]): void {
  zoom.value = scaled(positions.peek(), shownSpan(), factor, at);
}

/** Along the axis, by a share of what is shown. */
export function panBy(share: number): void {
  if (!zoom.peek()) return;
  const { from, to } = shownSpan();
  const width = positionAt(positions.peek(), to) - positionAt(positions.peek(), from);
  zoom.value = moved(positions.peek(), { from, to }, share * width);
}

export function zoomTo(span: Span): void {
  zoom.value = fitted(span, positions.peek().length);
}

export const showAll = (): void => void (zoom.value = null);

/** A playhead that leaves what is shown takes it along; an address may say otherwise. */
export function followPlayhead(): () => void {
  let before = { t: snapshot.peek(), span: zoom.peek() };
  return effect(() => {
    const [t, span] = [snapshot.value, zoom.value];
    const went = t !== before.t && span === before.span;
    before = { t, span };
    if (span && went) zoom.value = holding(span, t, positions.peek().length);
  });
}
