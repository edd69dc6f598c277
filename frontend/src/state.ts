// What the page shows: one signal per choice, and what follows from the choices.

import { batch, computed, effect, signal } from "@preact/signals";
import { indexOrder, unitOrder } from "./run/order";
import { reachable, type Session, type Theme, type Track } from "./run/session";
import { axisPositions, defaultAxis, snapshotAtStep, type Axis } from "./timeline/scale";
import type { Address } from "./url";
import type { RunEntry } from "./wire/manifest";

export { reachable };

/** All runs the server offers; the first is shown unless the address names another. */
export const runs = signal<readonly RunEntry[]>([]);
export const session = signal<Session | null>(null);
export const grouping = signal("true");
export const snapshot = signal(0);
export const unit = signal(-1);
export const highlighted = signal(-1);
export const threshold = signal(50);
export const axis = signal<Axis>("snapshot");
export const playing = signal(false);
export const speed = signal(1);
export const help = signal(false);
/** Why nothing can be shown. */
export const problem = signal("");
/** Said once to those who listen rather than look. */
export const announcement = signal("");

const prefersLight = matchMedia("(prefers-color-scheme: light)");
export const systemTheme = (): Theme => (prefersLight.matches ? "light" : "dark");
export const theme = signal<Theme>(systemTheme());

/** The grouping being shown; null while it loads. */
export const track = signal<Track | null>(null);

export const classes = computed(() => track.value?.grouping.classes ?? []);
export const palette = computed(() => session.value?.palettes[theme.value] ?? new Uint8Array(0));
export const positions = computed(() =>
  axisPositions(session.value?.scalars.step ?? [], axis.value),
);

/** The cells to draw: those at the playhead, or the nearest ones already here. */
export const painted = computed(() => {
  const current = track.value;
  if (!current) return null;
  void current.paint.arrived.value;
  return current.paint.nearest(snapshot.value);
});

export const approximate = computed(
  () => painted.value !== null && painted.value.snapshot !== snapshot.value,
);

const orders = new WeakMap<Track, Uint32Array>();

/** Units in their places; by index only until the last snapshot, which decides, is here. */
export const order = computed(() => {
  const current = track.value;
  const open = session.value;
  if (!current || !open) return null;
  let known = orders.get(current);
  if (!known) {
    void current.paint.arrived.value;
    const last = current.paint.at(open.snapshots - 1);
    if (!last) return null;
    known = unitOrder(last, open.layers);
    orders.set(current, known);
  }
  return known;
});

export const placedOrder = computed(() => order.value ?? indexOrder(session.value?.units ?? 0));

effect(() => {
  const open = session.value;
  const name = grouping.value;
  if (!open) return;
  open.track(name).then(
    (loaded) => {
      if (session.peek() !== open || grouping.peek() !== name) return;
      batch(() => {
        track.value = loaded;
        if (highlighted.peek() >= loaded.grouping.classes.length) highlighted.value = -1;
      });
    },
    (error: Error) => (problem.value = error.message),
  );
});

effect(() => track.value?.paint.want(snapshot.value));

export function show(t: number): void {
  const last = (session.peek()?.snapshots ?? 1) - 1;
  snapshot.value = Math.min(last, Math.max(0, t));
}

export function selectUnit(u: number): void {
  unit.value = u === unit.peek() ? -1 : u;
}

export function highlight(k: number): void {
  highlighted.value = k === highlighted.peek() ? -1 : k;
}

export function chooseGrouping(name: string): void {
  grouping.value = name;
}

/** The next of the groupings the run has. */
export function nextGrouping(): void {
  const names = session.peek()?.split.groupings.map((g) => g.name) ?? [];
  if (names.length > 1) chooseGrouping(names[(names.indexOf(grouping.peek()) + 1) % names.length]);
}

export function toggleTheme(): void {
  theme.value = theme.peek() === "dark" ? "light" : "dark";
}

/** The unit above or below the selected one, within its layer. */
export function walkUnits(by: number): void {
  const open = session.peek();
  if (!open || unit.peek() < 0) return;
  const layer = open.layers[open.layerOf[unit.peek()]];
  const places = placedOrder.peek().subarray(layer.offset, layer.offset + layer.units);
  const place = places.indexOf(unit.peek()) + by;
  if (place >= 0 && place < places.length) unit.value = places[place];
}

export function defaultAddress(open: Session): Address {
  const steps = open.scalars.step;
  return {
    run: runs.peek()[0]?.id ?? open.run,
    split: open.manifest.splits[0].name,
    step: steps[steps.length - 1],
    unit: -1,
    grouping: open.split.groupings[0].name,
    class: -1,
    threshold: Math.round(open.manifest.threshold * 100),
    theme: systemTheme(),
    axis: defaultAxis(steps),
  };
}

export function currentAddress(open: Session): Address {
  return {
    run: open.run,
    split: open.split.name,
    step: open.scalars.step[snapshot.peek()],
    unit: unit.peek(),
    grouping: grouping.peek(),
    class: highlighted.peek(),
    threshold: threshold.peek(),
    theme: theme.peek(),
    axis: axis.peek(),
  };
}

/** Shows what an address says; a unit, class or grouping that this run lacks is left out. */
export function applyAddress(open: Session, address: Partial<Address>): void {
  const wanted = { ...defaultAddress(open), ...address };
  const found = open.split.groupings.find((g) => g.name === wanted.grouping);
  const shown = found ?? open.split.groupings[0];
  batch(() => {
    grouping.value = shown.name;
    snapshot.value = snapshotAtStep(open.scalars.step, wanted.step);
    unit.value = wanted.unit < open.units ? wanted.unit : -1;
    highlighted.value = wanted.class < shown.classes.length ? wanted.class : -1;
    threshold.value = wanted.threshold;
    theme.value = wanted.theme;
    axis.value = wanted.axis;
    session.value = open;
  });
}
