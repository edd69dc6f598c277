import { computed } from "@preact/signals";
import { axis, playing, session, snapshot, speed } from "../state/chosen";
import { show } from "../state/choosing";
import { togglePlay } from "../play";
import { NextIcon, PauseIcon, PlayIcon, PreviousIcon } from "../frame/icons";
import { AXIS_TITLES, type Axis } from "./scale";

const atFirst = computed(() => snapshot.value === 0);
const atLast = computed(() => snapshot.value === (session.value?.snapshots ?? 1) - 1);

const SPEEDS = [0.5, 1, 2, 4];

export function Controls() {
  const move = (by: number): void => {
    playing.value = false;
    show(snapshot.peek() + by);
  };
  return (
    <div class="controls">
      <button
        type="button"
        class="play"
        data-testid="play"
        aria-label={playing.value ? "Pause" : "Play"}
        onClick={togglePlay}
      >
        {playing.value ? <PauseIcon /> : <PlayIcon />}
      </button>
      <button
        type="button"
        class="icon"
        aria-label="Previous snapshot"
        disabled={atFirst}
        onClick={() => move(-1)}
      >
        <PreviousIcon />
      </button>
      <button
        type="button"
        class="icon"
        aria-label="Next snapshot"
        disabled={atLast}
        onClick={() => move(1)}
      >
        <NextIcon />
      </button>
      <select
        class="choice"
        aria-label="Speed"
        title="Speed"
        value={String(speed.value)}
        onChange={(event) => (speed.value = Number(event.currentTarget.value))}
      >
        {SPEEDS.map((s) => (
          <option key={s} value={String(s)}>
            {s}×
          </option>
        ))}
      </select>
      <select
        class="choice"
        aria-label="Time axis"
        title="Time axis"
        value={axis.value}
        onChange={(event) => (axis.value = event.currentTarget.value as Axis)}
      >
        {Object.entries(AXIS_TITLES).map(([name, title]) => (
          <option key={name} value={name}>
            {title}
          </option>
        ))}
      </select>
    </div>
  );
}
