import { line } from "d3-shape";
import { useMemo } from "preact/hooks";
import { confusionOfSnapshot, useWholeConfusion } from "../confusion/now";
import { shareRight } from "../confusion/scale";
import { CloseIcon } from "../frame/icons";
import { count, list, percent, plural, strengthOfLevel } from "../format";
import { isolated, said, type Say } from "../inline";
import { cssColor } from "../network/colors";
import { baseOf, groupAt, levelOf, ownClasses } from "../run/groupings";
import type { Confusion } from "../run/resources";
import { isSuppressed, strongestUnits } from "../run/counts";
import { classSentence } from "../sentences/classes";
import { highlighted, session, snapshot, track } from "../state/chosen";
import { painted, palette, positions } from "../state/shown";
import { selectUnit } from "../state/choosing";
import { LEVELS } from "../wire/manifest";

const WIDTH = 304;
const HEIGHT = 44;
const STRONGEST = 12;
const MEMBERS = 12;

export function ClassCard({ cls }: { cls: number }) {
  const current = track.value;
  const open = session.value;
  const confusion = useWholeConfusion();
  if (!current || !open) return null;
  const name = current.grouping.classes[cls];
  const color = cssColor(palette.value, 4 * (cls * LEVELS + 100));
  // Only these two groupings have the classes of the confusion.
  const known =
    ["true", "predicted"].includes(baseOf(current.grouping).name) &&
    cls < ownClasses(current.grouping);
  return (
    <>
      <div class="heading">
        <h1>
          <i class="dot" style={{ background: color }} />
          <bdi class="path" title={name}>
            {name}
          </bdi>
        </h1>
        <button
          type="button"
          class="icon"
          aria-label="Clear class"
          title="Clear (Esc)"
          onClick={() => (highlighted.value = -1)}
        >
          <CloseIcon />
        </button>
      </div>
      <Members cls={cls} />
      {confusion && known && (
        <Recall confusion={confusion} cls={cls} names={baseOf(current.grouping).classes} />
      )}
      <Strongest cls={cls} color={color} />
    </>
  );
}

/** What a superclass holds. */
function Members({ cls }: { cls: number }) {
  const shown = track.value?.grouping;
  const group = shown && groupAt(shown, cls);
  if (!shown || !group) return null;
  const { classes: names } = baseOf(shown);
  const some = group.members.slice(0, MEMBERS).map((k) => said(names[k]));
  const rest = group.members.length - some.length;
  const none =
    levelOf(shown) === "finest"
      ? " Units of it are those of which no class of it surely holds."
      : "";
  return (
    <p class="subtitle ink2" data-testid="members">
      A superclass of {count(group.members.length)}{" "}
      {plural(group.members.length, "class", "classes")}:{" "}
      {list(rest > 0 ? [...some, `${count(rest)} more`] : some)}.{none}
    </p>
  );
}

/** Recall of a true class, or precision of a predicted one. */
function Recall({
  confusion,
  cls,
  names,
}: {
  confusion: Confusion;
  cls: number;
  names: readonly string[];
}) {
  const K = names.length;
  const T = session.value?.snapshots ?? 0;
  const shown = track.value?.grouping;
  const predicted = shown !== undefined && baseOf(shown).name === "predicted";
  const x = positions.value;
  const t = snapshot.value;
  const { matrix, samples } = confusionOfSnapshot(confusion, t);
  const at = (other: number): number => matrix[predicted ? other * K + cls : cls * K + other];
  const shares = useMemo(
    () =>
      Array.from({ length: T }, (_, s) => {
        const then = confusionOfSnapshot(confusion, s);
        return shareRight(then.matrix, then.samples, cls, predicted ? "predicted" : "true");
      }),
    [confusion, cls, predicted, T],
  );
  const path = useMemo(
    () =>
      line<number>()
        .defined((v) => !Number.isNaN(v))
        .x((_, s) => Math.round(x[s] * WIDTH * 10) / 10)
        .y((v) => Math.round((HEIGHT - 2 - v * (HEIGHT - 6)) * 10) / 10)(shares) ?? "",
    [shares, x],
  );
  let n = predicted ? 0 : samples[cls];
  const others: { name: string; samples: number }[] = [];
  for (let k = 0; k < K; k++) {
    if (predicted) n += at(k);
    if (k !== cls) others.push({ name: names[k], samples: at(k) });
  }
  const say = (how: Say): string => classSentence(names[cls], at(cls), n, others, predicted, how);
  const [sentence, whole] = [say(said), say(isolated)];
  return (
    <>
      <p class="subtitle ink2" title={whole === sentence ? undefined : whole}>
        {sentence}
      </p>
      {T > 1 && (
        <section>
          <h2>
            {predicted ? "Precision" : "Recall"} <small>{percent(shares[t])} now</small>
          </h2>
          <svg class="recall" width={WIDTH} height={HEIGHT} aria-hidden="true">
            <path class="hair" d={`M0 ${HEIGHT - 1.5}H${WIDTH}M0 3.5H${WIDTH}`} />
            <path class="accuracy" d={path} />
            <line class="now" x1={x[t] * WIDTH} x2={x[t] * WIDTH} y1={0} y2={HEIGHT} />
          </svg>
        </section>
      )}
    </>
  );
}

function Strongest({ cls, color }: { cls: number; color: string }) {
  const open = session.value;
  const cells = painted.value;
  if (!open || !cells) return null;
  const units = strongestUnits(cells.paint, cls, STRONGEST);
  return (
    <section>
      <h2>
        Strongest units now <small>strength</small>
      </h2>
      {units.length === 0 && <p class="note">No unit holds this class at this snapshot.</p>}
      {units.map((u) => {
        const l = open.layerOf[u];
        const level = cells.paint.level[u];
        return (
          <button key={u} type="button" class="unit" onClick={() => selectUnit(u)}>
            <i
              class={isSuppressed(cells.paint, u) ? "least" : undefined}
              style={{ color: cssColor(palette.value, 4 * (cls * LEVELS + level)) }}
            />
            <span class="path" title={`${open.layers[l].path}, ${open.layers[l].kind}`}>
              {open.names[l]} · {u - open.layers[l].offset}
            </span>
            <span class="bar">
              <span style={{ width: `${level}%`, background: color }} />
            </span>
            <span class="count">{strengthOfLevel(level)}</span>
          </button>
        );
      })}
    </section>
  );
}
