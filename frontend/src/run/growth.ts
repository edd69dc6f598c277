// A run that is still being recorded grows, and the page with it: time gets longer, a playhead at the
// newest snapshot stays at the newest, units keep their places. Asked for again and again rather than
// pushed: a browser opens six connections to a server, and pages that each hold one would block the
// others.

import { batch, computed, effect, signal } from "@preact/signals";
import { applyCompared, comparedGrown } from "../compare/now";
import { wholeConfusion } from "../confusion/now";
import { applyAddress, applyGrown, currentAddress } from "../state/addressed";
import { cell, sample, session, snapshot, track, unit } from "../state/chosen";
import { server } from "./asking";
import { shownGrouping } from "../state/shown";
import type { Live } from "../wire/manifest";
import { DAMAGED, RefusedError } from "../wire/source";
import { heard } from "./asking";
import type { Session } from "./session";

const SOONEST_MS = 1000;
const LATEST_MS = 10_000;
/** So many usual intervals without a snapshot are told. */
const STALE = 3;
/** What a server says of a run that it does not offer. */
const NOT_FOUND = 404;
/** Less is not worth a word. */
const STALE_SECONDS = 60;

/** What the server said last of the run that is shown, and when; null where it cannot grow. */
const pulse = signal<{ live: Live; at: number; lineage: object } | null>(null);
/** Seconds, so that "for 4 min" grows while nothing comes. */
const now = signal(0);

/** Whether a run is being recorded now, as far as the server knows. */
export const live = computed(() => {
  const open = session.value;
  return pulse.value?.lineage === open?.lineage && pulse.value?.live.state === "recording";
});

/** Seconds since the last snapshot, where that is longer than usual by far; else 0. */
export const stale = computed((): number => {
  const found = pulse.value;
  if (!live.value || !found || server.value !== "answers") return 0;
  const { age, interval } = found.live;
  if (age === null || interval === null) return 0;
  const since = age + Math.max(0, now.value - found.at);
  return since > Math.max(STALE_SECONDS, STALE * interval) ? since : 0;
});

/** Whether the playhead goes along with the newest snapshot. */
export const following = computed(
  () => live.value && snapshot.value === (session.value?.snapshots ?? 0) - 1,
);

export function followGrowth(): () => void {
  let timer = 0;
  let [ended, asking, growing] = [false, false, false];
  const again = (ms: number): void => {
    clearTimeout(timer);
    if (!ended) timer = window.setTimeout(() => void ask(), ms);
  };
  // beside the asking, which says whether anybody is there: what has grown may be long on its way
  const goOn = async (open: Session): Promise<void> => {
    if (growing) return;
    growing = true;
    try {
      await grow(open);
    } catch (error) {
      heard(error); // asked for again with the next answer
    } finally {
      growing = false;
    }
  };
  const ask = async (): Promise<void> => {
    const open = session.peek();
    if (!open || open.manifest.state === "complete" || asking) return;
    asking = true;
    try {
      const found = await open.live();
      if (server.peek() !== "answers") open.renew();
      heard();
      batch(() => {
        pulse.value = { live: found, at: performance.now() / 1000, lineage: open.lineage };
        now.value = performance.now() / 1000;
      });
      const { version, state } = open.manifest;
      if (found.version !== version || found.state !== state) void goOn(open);
      const usual = found.state === "recording" ? 500 * (found.interval ?? 4) : LATEST_MS;
      again(Math.min(LATEST_MS, Math.max(SOONEST_MS, usual)));
    } catch (error) {
      // a file and a static site do not grow; but who told before how far it is has only gone
      const told = pulse.peek()?.lineage === open.lineage;
      const gone = error instanceof RefusedError && error.status === NOT_FOUND && told;
      if (gone) server.value = "away";
      else if (!heard(error) && error instanceof RefusedError && error.status !== DAMAGED) return;
      again(LATEST_MS / 5);
    } finally {
      asking = false;
    }
  };
  // another split or measure is another session, which may have been opened while the run grew
  const stop = effect(() => {
    void session.value;
    again(SOONEST_MS);
  });
  const clock = setInterval(() => (now.value = performance.now() / 1000), SOONEST_MS);
  return () => {
    ended = true;
    stop();
    clearTimeout(timer);
    clearInterval(clock);
  };
}

/** Loads all that is on the screen before any of it changes, so that nothing blinks. */
async function grow(open: Session): Promise<void> {
  const grown = await open.grown();
  const name = track.peek()?.grouping.name ?? shownGrouping.peek()?.name ?? "";
  if (!grown) {
    // what was shown is no longer so: all of it anew
    const other = await open.other(open.split.name, open.measure.name);
    if (session.peek() === open) applyAddress(other, currentAddress(open));
    return;
  }
  if (!track.peek()) return; // still opening: the next time
  const t = snapshot.peek() === open.snapshots - 1 ? grown.snapshots - 1 : snapshot.peek();
  const loaded = await grown.track(name, t);
  await loaded.paint.settled(t);
  const [u, i, at] = [unit.peek(), sample.peek(), cell.peek()];
  const whole = wholeConfusion.peek()?.of === open ? grown.ofClasses.confusion() : null;
  const compared = comparedGrown(open, grown, t);
  await Promise.allSettled([
    whole,
    compared,
    u >= 0 && grown.ofUnits.history(name, u),
    i >= 0 && grown.ofSamples.sampleHistory(i),
    at && grown.has("samples") && grown.ofClasses.cellSamples(t, at.true, at.predicted),
    grown.has("confusion_at") && wholeConfusion.peek() === null && grown.ofClasses.confusionAt(t),
    grown.ofUnits.events(name),
  ]);
  const found = await whole?.catch(() => null);
  const beside = await compared.catch(() => null); // it is asked for again, and says why
  if (session.peek() !== open || track.peek()?.grouping.name !== name) return;
  batch(() => {
    if (found) wholeConfusion.value = { of: grown, ...found };
    if (beside) applyCompared(beside);
    applyGrown(open, grown, loaded);
  });
}
