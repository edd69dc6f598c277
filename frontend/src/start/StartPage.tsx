// Where several runs are offered: what each is, as a list and at a glance.

import { useEffect, useRef, useState } from "preact/hooks";
import { count, percent, stepText } from "../format";
import { theme } from "../state/chosen";
import { Tensors } from "../wire/safetensors";
import type { RunEntry } from "../wire/manifest";
import type { Source } from "../wire/source";

const WIDTH = 168;
const HEIGHT = 42;
const LAYER_GAP = 1;

const STATES: Record<string, string> = {
  recording: "recording now",
  interrupted: "interrupted",
  complete: "",
};

export const runAddress = (run: string): string => {
  const query = new URLSearchParams();
  query.set("run", run);
  return `#${query.toString()}`;
};

export function StartPage({ source, entries }: { source: Source; entries: readonly RunEntry[] }) {
  const [wanted, setWanted] = useState("");
  const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = entries.filter((run) =>
    words.every((word) => `${run.name} ${run.place ?? ""}`.toLowerCase().includes(word)),
  );
  return (
    <main class="start" data-testid="start">
      <header>
        <h1>
          {count(entries.length)} runs
          {shown.length < entries.length ? `, ${count(shown.length)} shown` : ""}
        </h1>
        <label>
          <span class="hidden">Search runs</span>
          <input
            type="search"
            placeholder="Search"
            value={wanted}
            onInput={(event) => setWanted(event.currentTarget.value)}
          />
        </label>
      </header>
      <table>
        <thead>
          <tr>
            <th scope="col">Run</th>
            <th scope="col">Units at the last snapshot</th>
            <th scope="col" class="count">
              Classes
            </th>
            <th scope="col" class="count">
              Snapshots
            </th>
            <th scope="col" class="count">
              Step
            </th>
            <th scope="col" class="count">
              Accuracy
            </th>
            <th scope="col">Recorded</th>
          </tr>
        </thead>
        <tbody>
          {shown.map((run) => (
            <Row key={run.id} source={source} run={run} />
          ))}
        </tbody>
      </table>
      {shown.length === 0 && <p class="subtitle">No run is called that.</p>}
    </main>
  );
}

function Row({ source, run }: { source: Source; run: RunEntry }) {
  const open = (): void => {
    location.hash = runAddress(run.id);
    location.reload();
  };
  const numbers = (value: number | null | undefined, say: (n: number) => string): string =>
    run.error || value === null || value === undefined ? "–" : say(value);
  return (
    <tr>
      <th scope="row">
        {run.error ? (
          <bdi class="path">{run.name}</bdi>
        ) : (
          <a
            href={runAddress(run.id)}
            onClick={(event) => {
              event.preventDefault();
              open();
            }}
          >
            <bdi class="path">{run.name}</bdi>
          </a>
        )}
        {run.place && run.place !== run.name && <bdi class="quiet path">{run.place}</bdi>}
        {run.error && <span class="warning">{run.error}</span>}
      </th>
      <td>{!run.error && (run.snapshots ?? 0) > 0 && <Glance source={source} run={run} />}</td>
      <td class="count">{numbers(run.classes, count)}</td>
      <td class="count">{numbers(run.snapshots, count)}</td>
      <td class="count">{numbers(run.last_step, stepText)}</td>
      <td class="count">{numbers(run.accuracy, percent)}</td>
      <td>
        {(run.created ?? "").slice(0, 10)}
        {STATES[run.state ?? ""] && <span class="quiet"> {STATES[run.state ?? ""]}</span>}
      </td>
    </tr>
  );
}

/** Pictures are asked for one after the other, and only once they come into view. */
let before: Promise<unknown> = Promise.resolve();

function Glance({ source, run }: { source: Source; run: RunEntry }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [colors, setColors] = useState<Tensors | null>(null);
  useEffect(() => {
    const watched = canvas.current;
    if (!watched) return;
    const seen = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      seen.disconnect();
      before = before
        .then(() => source.get(`${run.id}/glance.st`))
        .then((bytes) => setColors(new Tensors(bytes as ArrayBuffer)))
        .catch(() => undefined); // the row says all else
    });
    seen.observe(watched);
    return () => seen.disconnect();
  }, [source, run.id]);
  useEffect(() => {
    if (!canvas.current || !colors) return;
    const ratio = devicePixelRatio || 1;
    canvas.current.width = Math.round(WIDTH * ratio);
    canvas.current.height = Math.round(HEIGHT * ratio);
    const g = canvas.current.getContext("2d") as CanvasRenderingContext2D;
    g.scale(ratio, ratio);
    const units = colors.get("units", "U32");
    const rgba = colors.get(theme.value, "U8");
    const step = WIDTH / units.length;
    let i = 0;
    units.forEach((n, l) => {
      const tall = HEIGHT / n;
      for (let u = 0; u < n; u++, i++) {
        if (rgba[4 * i + 3] === 0) continue;
        g.fillStyle = `rgb(${rgba[4 * i]},${rgba[4 * i + 1]},${rgba[4 * i + 2]})`;
        g.fillRect(l * step, u * tall, step - LAYER_GAP, Math.ceil(tall * ratio) / ratio);
      }
    });
  }, [colors, theme.value]);
  return (
    <canvas
      ref={canvas}
      class="glance"
      style={{ width: `${WIDTH}px`, height: `${HEIGHT}px` }}
      role="img"
      aria-label={`Units of ${run.name} at its last snapshot, layer by layer`}
    />
  );
}
