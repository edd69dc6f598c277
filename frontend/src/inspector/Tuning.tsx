// Mean response to each class with its 95 % interval, as the server computed them.

import { count, digitsFor, fixed, percent, plural } from "../format";
import { cut } from "../inline";
import { cssColor } from "../network/colors";
import type { UnitHistory } from "../run/resources";
import { highlighted, snapshot } from "../state/chosen";
import { palette } from "../state/shown";
import { FEWEST_SAMPLES, LEVELS } from "../wire/manifest";

const WIDTH = 304;
const ROW = 17;
const NAME = 92;
const VALUE = 44;
const MANY = 20;
const SHOWN = 12;

interface Bar {
  name: string;
  color: string;
  faded: boolean;
  n: number;
  mean: number;
  low: number;
  high: number;
  /** Share of its samples with a response above 0, and its interval. */
  active: readonly [number, number, number];
}

function bars(history: UnitHistory, names: readonly string[]): Bar[] {
  const K = names.length;
  const row = snapshot.value * K;
  const cls = highlighted.value;
  const bar = (k: number): Bar => ({
    name: names[k],
    color: cssColor(palette.value, 4 * (k * LEVELS + 100)),
    faded: cls >= 0 && cls !== k,
    n: history.n[row + k],
    mean: history.mean[row + k],
    low: history.low[row + k],
    high: history.high[row + k],
    active: [history.active[row + k], history.activeLow[row + k], history.activeHigh[row + k]],
  });
  const all = Array.from({ length: K }, (_, k) => k);
  if (K <= MANY) return all.map(bar);
  const usable = all.filter((k) => history.n[row + k] >= FEWEST_SAMPLES);
  usable.sort((a, b) => history.mean[row + b] - history.mean[row + a]);
  const rest = usable.slice(SHOWN);
  if (rest.length === 0) return usable.map(bar);
  const samples = rest.reduce((sum, k) => sum + history.n[row + k], 0);
  const mean = rest.reduce((sum, k) => sum + history.mean[row + k], 0) / rest.length;
  return [
    ...usable.slice(0, SHOWN).map(bar),
    {
      name: `${rest.length} others`,
      color: "var(--ink4)",
      faded: false,
      n: samples,
      mean,
      // The band of the others' means: an interval of their mean would need their variances.
      low: history.mean[row + rest[rest.length - 1]],
      high: history.mean[row + rest[0]],
      active: [NaN, NaN, NaN],
    },
  ];
}

export function Tuning({ history, names }: { history: UnitHistory; names: readonly string[] }) {
  const rows = bars(history, names);
  const shown = rows.filter((bar) => bar.n >= FEWEST_SAMPLES);
  const low = Math.min(0, ...shown.map((bar) => finite(bar.low, bar.mean)));
  const high = Math.max(0, ...shown.map((bar) => finite(bar.high, bar.mean)));
  const span = high - low || 1;
  const left = NAME + 8;
  const right = WIDTH - VALUE;
  const x = (v: number): number => left + ((v - low) / span) * (right - left);
  const digits = digitsFor(span);
  return (
    <svg
      class="tuning"
      width={WIDTH}
      height={rows.length * ROW}
      role="img"
      aria-label="Mean response to each class"
    >
      <line class="axis" x1={x(0)} x2={x(0)} y1={0} y2={rows.length * ROW} />
      {rows.map((bar, i) => {
        const y = i * ROW;
        const text = cut(bar.name, 15);
        return (
          <g key={i} opacity={bar.faded ? 0.35 : 1}>
            <title>{about(bar, digits)}</title>
            <rect x={0} y={y} width={WIDTH} height={ROW} fill="transparent" />
            <text class="ink2" x={NAME} y={y + 12} text-anchor="end">
              {text}
            </text>
            {bar.n < FEWEST_SAMPLES ? (
              <text x={x(0) + 4} y={y + 12}>
                n={bar.n}
              </text>
            ) : (
              <>
                <rect
                  x={Math.min(x(0), x(bar.mean))}
                  y={y + 3}
                  width={Math.max(0.75, Math.abs(x(bar.mean) - x(0)))}
                  height={ROW - 6}
                  rx={1.5}
                  fill={bar.color}
                />
                <line class="interval" x1={x(bar.low)} x2={x(bar.high)} y1={y + 8.5} y2={y + 8.5} />
                <text class="number" x={WIDTH} y={y + 12} text-anchor="end">
                  {fixed(bar.mean, digits)}
                </text>
              </>
            )}
          </g>
        );
      })}
    </svg>
  );
}

/** A bar in words, its intervals included. */
function about(bar: Bar, digits: number): string {
  const [active, low, high] = bar.active;
  const range = `${fixed(bar.low, digits)} to ${fixed(bar.high, digits)}`;
  if (Number.isNaN(active)) return `${bar.name}: their means reach from ${range}`;
  const mean = `mean ${fixed(bar.mean, digits)} (95%: ${range})`;
  const of = `${count(bar.n)} ${plural(bar.n, "sample")}`;
  if (bar.n < FEWEST_SAMPLES) return `${bar.name}: only ${of}`;
  return `${bar.name}: ${mean}; active in ${percent(active)} (95%: ${percent(low)} to ${percent(high)}) of ${of}`;
}

const finite = (v: number, otherwise: number): number => (Number.isFinite(v) ? v : otherwise);
