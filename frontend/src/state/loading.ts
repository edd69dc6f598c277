// What is chosen, loaded before it is shown.

import { effect } from "@preact/signals";
import { explain } from "../explain";
import type { Session } from "../run/session";
import type { Track } from "../run/tracks";
import { session, grouping, snapshot, unit, problem, announcement, track } from "./chosen";

/** A grouping's numbers and its cells at the playhead, so that nothing is shown by halves. */
export async function loadWhole(open: Session, name: string, t: number): Promise<Track> {
  const loaded = await open.track(name, t);
  await loaded.paint.settled(t);
  return loaded;
}

effect(() => {
  const open = session.value;
  const name = grouping.value;
  if (!open) return;
  const before = track.peek();
  const wanted = (): boolean => session.peek() === open && grouping.peek() === name;
  const loading = before
    ? loadWhole(open, name, snapshot.peek())
    : open.track(name, snapshot.peek());
  loading.then(
    (loaded) => {
      if (wanted()) track.value = loaded;
    },
    (error: unknown) => {
      if (!wanted()) return;
      if (before) {
        grouping.value = before.grouping.name;
        announcement.value = explain(error);
      } else problem.value = explain(error);
    },
  );
});

effect(() => track.value?.paint.want(snapshot.value));

let asking: Track | null = null;

// What is counted of a long run comes piece by piece, around the playhead first.
effect(() => {
  const [open, current] = [session.value, track.value];
  if (!open || !current || current.complete || asking === current) return;
  asking = current;
  open.more(current, snapshot.peek()).then(
    (longer) => {
      if (track.peek() === current) track.value = longer;
    },
    (error: unknown) => (announcement.value = explain(error)),
  );
});

// A unit's history is asked for at once; its card, which shows it, is drawn only in the next frame.
effect(() => {
  const name = track.value?.grouping.name;
  if (unit.value >= 0 && name !== undefined)
    session
      .peek()
      ?.ofUnits.history(name, unit.value)
      .catch(() => undefined); // the card says so
});
