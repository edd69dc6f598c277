import { useLayoutEffect, useState } from "preact/hooks";
import { CloseIcon } from "../frame/icons";
import { count, fixed, percent, probability, strengthOfLevel } from "../format";
import { counted } from "../derive";
import { isolated, said } from "../inline";
import { cssColor } from "../network/colors";
import { baseOf, groupAt, levelOf, levelWords } from "../run/groupings";
import type { UnitHistory } from "../run/resources";
import { unitSentence, unitWarning, type UnitFacts } from "../sentences/units";
import { palette, shownGrouping } from "../state/shown";
import { session, snapshot, threshold, track, unit } from "../state/chosen";
import { HELD, LEVELS, TIED } from "../wire/manifest";
import { UnitEvents } from "./Happened";
import { Barcode, History } from "./History";
import { UnitFilter } from "../pictures/FirstWeights";
import { UnitMaps } from "../pictures/UnitMaps";
import { Tuning } from "./Tuning";

export function UnitCard({ unit: u }: { unit: number }) {
  const open = session.value;
  const [history, setHistory] = useState<UnitHistory | null>(null);
  const [failed, setFailed] = useState(false);
  // before the next frame: of a run that has grown it is here already, and must not blink
  useLayoutEffect(() => {
    let wanted = true;
    open?.ofUnits.history(shownGrouping.peek()?.name ?? "", u).then(
      (loaded) => wanted && setHistory(loaded),
      () => wanted && setFailed(true),
    );
    return () => {
      wanted = false;
    };
  }, [open, u]);
  if (!open) return null;
  const layer = open.layers[open.layerOf[u]];
  return (
    <>
      <div class="heading">
        <h1>
          <span class="path" title={`${layer.path}, ${layer.kind}`}>
            {open.names[open.layerOf[u]]}
          </span>{" "}
          <span class="quiet">unit {u - layer.offset}</span>
        </h1>
        <button
          type="button"
          class="icon"
          aria-label="Close unit"
          title="Close (Esc)"
          onClick={() => (unit.value = -1)}
        >
          <CloseIcon />
        </button>
      </div>
      {history && <Details unit={u} history={history} />}
      {failed && <p class="subtitle">{unreadable()}</p>}
    </>
  );
}

function Details({ unit: u, history }: { unit: number; history: UnitHistory }) {
  const open = session.value;
  const current = track.value;
  if (!open || !current || history.n.length === 0) return null;
  const t = snapshot.value;
  // bars and lines are of the classes alone, also where the color may be that of a superclass
  const { grouping } = current;
  const names = levelOf(grouping) === "finest" ? baseOf(grouping).classes : grouping.classes;
  const K = names.length;
  // A grouping that is still loading has other classes than the history at hand.
  if (history.n.length !== open.snapshots * K) return null;
  const state = history.state[t];
  const preferred = history.preferred[t];
  const group = levelOf(grouping) === "finest" ? groupAt(grouping, preferred) : null;
  const samplesOf = group ? group.members : [preferred];
  let n = 0;
  for (let k = 0; k < K; k++) n += history.n[t * K + k];
  const facts: UnitFacts = {
    state,
    level: history.level[t],
    flags: history.flags[t],
    value: history.value[t],
    sure: history.sure[t],
    preferred: grouping.classes[preferred] ?? "",
    runnerUp: grouping.classes[history.runnerUp[t]] ?? "",
    nPreferred: samplesOf.reduce((sum, k) => sum + (history.n[t * K + k] ?? 0), 0),
    n,
    counted: counted.value,
    activeSamples: history.activeSamples[t],
    threshold: threshold.value,
    measure: open.measure,
  };
  const layer = open.layers[open.layerOf[u]];
  const warning = unitWarning(facts);
  const words = levelWords(grouping, preferred);
  const measured = state <= TIED;
  const [sentence, whole] = [unitSentence(facts), unitSentence(facts, isolated)];
  return (
    <>
      <p class="subtitle ink2" title={whole === sentence ? undefined : whole}>
        {state === HELD && (
          <i
            class="dot"
            style={{ background: cssColor(palette.value, 4 * (preferred * LEVELS + 100)) }}
          />
        )}
        {sentence}
      </p>
      {state === HELD && words && (
        <p class="subtitle ink2" data-testid="level">
          {`${said(facts.preferred)} is ${words}, so its is the hue.`}
        </p>
      )}
      {warning && <p class="warning">{warning}</p>}
      {layer.output && baseOf(grouping).name === "predicted" && (
        <p class="warning">The output is compared with its own predictions: this is circular.</p>
      )}
      <div class="facts">
        <Fact name="strength" value={measured ? strengthOfLevel(facts.level) : "–"} />
        <Fact name={open.measure.title.toLowerCase()} value={measured ? fixed(facts.value) : "–"} />
        <Fact name="sure" value={measured ? probability(facts.sure) : "–"} />
        <Fact
          name={`of ${count(n)} active`}
          value={n > 0 ? percent(facts.activeSamples / n) : "–"}
        />
      </div>
      <section>
        <h2>
          Tuning <small>mean response, 95% interval</small>
        </h2>
        <Tuning history={history} names={names} />
      </section>
      {open.snapshots > 1 && (
        <section>
          <h2>
            Through training <small>mean response by class</small>
          </h2>
          <History history={history} classes={K} />
          <Barcode history={history} />
          <UnitEvents unit={u} />
        </section>
      )}
      <UnitMaps unit={u} />
      <UnitFilter unit={u} />
    </>
  );
}

function Fact({ name, value }: { name: string; value: string }) {
  return (
    <div>
      <b>{value}</b>
      {name}
    </div>
  );
}

const unreadable = (): string =>
  session.value?.manifest.left_out
    ? "Its history is not in this file, which was kept small."
    : "This unit could not be read.";
