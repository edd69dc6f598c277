import {
  chooseGrouping,
  chooseMeasure,
  chooseSplit,
  toggleTable,
  toggleTheme,
} from "../state/choosing";
import { exporting, grouping, help, runs, session, theme, view } from "../state/chosen";
import { placeAnew, placedBy, shownGrouping } from "../state/shown";
import { count, durationText, plural, stepText } from "../format";
import { isolated } from "../inline";
import { share } from "../keys";
import { live, stale } from "../run/growth";
import { baseOf } from "../run/groupings";
import type { Session } from "../run/session";
import { splitSentence } from "../sentences/snapshots";
import { cssColor } from "../network/colors";
import { LEVELS, type Grouping } from "../wire/manifest";
import { readAddress } from "../url";
import { Chooser } from "./Chooser";
import { home } from "./home";
import { DownloadIcon, KeysIcon, LinkIcon, TableIcon, ThemeIcon } from "./icons";
import { Views } from "./Views";

/** Reopens the page on another run: everything else in the address belongs to this one. */
function reopen(run: string): void {
  const query = new URLSearchParams();
  query.set("run", run);
  const theme = readAddress(location.hash).theme;
  if (theme) query.set("theme", theme);
  location.hash = query.toString();
  location.reload();
}

/** The list of all runs. */
function allRuns(event: MouseEvent): void {
  event.preventDefault();
  location.hash = "";
  location.reload();
}

/** Three classes at two strengths: the page's idea in six cells. */
function Mark() {
  const [open, shown] = [session.value, shownGrouping.value];
  const colors = open && shown ? open.palette(theme.value, baseOf(shown)) : new Uint8Array(0);
  const classes = colors.length / (4 * LEVELS);
  return (
    <svg width={17} height={11} aria-hidden="true">
      {[0, 1, 2].map((i) => {
        const k = Math.floor((i * classes) / 3);
        const at = (level: number) => cssColor(colors, 4 * (k * LEVELS + level));
        return (
          <g key={i}>
            <rect x={i * 6} y={i === 1 ? 0 : 6} width={5} height={5} rx={1.4} fill={at(100)} />
            <rect x={i * 6} y={i === 1 ? 6 : 0} width={5} height={5} rx={1.4} fill={at(30)} />
          </g>
        );
      })}
    </svg>
  );
}

function Splits({ open }: { open: Session }) {
  return (
    <>
      <Chooser
        label="Split"
        value={open.split.name}
        options={open.manifest.splits.map((split) => ({
          value: split.name,
          name: split.name,
          about: splitSentence(split),
        }))}
        testId="split"
        onChoose={(name) => chooseSplit(name)}
      />
      <span class="about path">{splitSentence(open.split)}</span>
    </>
  );
}

/** Letters of all titles together that stand side by side; more go into a list. */
const SIDE_BY_SIDE = 34;

function Groupings({ groupings }: { groupings: readonly Grouping[] }) {
  const shown = shownGrouping.value ? baseOf(shownGrouping.value).name : grouping.value;
  const letters = groupings.reduce((sum, g) => sum + g.title.length, 0);
  if (letters > SIDE_BY_SIDE)
    return (
      <Chooser
        label="Group samples by"
        wide
        value={shown}
        options={groupings.map((g) => ({
          value: g.name,
          name: isolated(g.title),
          about: `${count(g.classes.length)} ${plural(g.classes.length, "class", "classes")}`,
        }))}
        testId="grouping"
        onChoose={chooseGrouping}
      />
    );
  return (
    <span class="field">
      <span class="label wide">Group samples by</span>
      <span class="segments" role="group" aria-label="Group samples by">
        {groupings.map((g) => (
          <button
            key={g.name}
            type="button"
            data-testid={`grouping-${g.name}`}
            aria-pressed={shown === g.name}
            onClick={() => chooseGrouping(g.name)}
          >
            <bdi>{g.title}</bdi>
          </button>
        ))}
      </span>
    </span>
  );
}

/** Whether the run goes on, and whether anything still comes. */
function RunState({ open }: { open: Session }) {
  const { state } = open.manifest;
  const moved = placedBy.value >= 0 && placedBy.value < open.snapshots - 1;
  const at = stepText(open.scalars.step[placedBy.value] ?? 0);
  return (
    <>
      {stale.value > 0 ? (
        <span class="state" role="status" data-testid="run-state">
          no new snapshot for {durationText(stale.value)}
        </span>
      ) : live.value ? (
        <span class="state live" data-testid="run-state">
          live
        </span>
      ) : (
        state !== "complete" && (
          <span class="state" data-testid="run-state">
            {state}
          </span>
        )
      )}
      {moved && (
        <button
          type="button"
          class="newer"
          data-testid="place-anew"
          title={`Units stand where step ${at} put them, so that none moves by itself. Place them by the newest snapshot.`}
          onClick={placeAnew}
        >
          Reorder units
        </button>
      )}
    </>
  );
}

export function TopBar() {
  const open = session.value;
  if (!open) return <header class="top" />;
  return (
    <header class="top">
      {runs.value.length > 1 ? (
        <a class="word" href="#" title="All runs" onClick={allRuns}>
          <Mark />
          huelapse
        </a>
      ) : (
        <div class="word">
          <Mark />
          huelapse
        </div>
      )}
      {runs.value.length > 1 ? (
        <label class="field">
          <span class="hidden">Run</span>
          <select
            class="choice run"
            value={open.run}
            onChange={(e) => reopen(e.currentTarget.value)}
          >
            {runs.value.map((run) => (
              <option key={run.id} value={run.id}>
                {run.name}
              </option>
            ))}
          </select>
        </label>
      ) : (
        <span class="run" title={open.manifest.name}>
          {open.manifest.name}
        </span>
      )}
      <RunState open={open} />
      {open.manifest.splits.length > 1 && <Splits open={open} />}
      <Views />
      <span class="space" />
      {open.split.groupings.length > 1 && <Groupings groupings={open.split.groupings} />}
      {open.manifest.measures.length > 1 && (
        <Chooser
          label="Selectivity"
          wide
          value={open.measure.name}
          options={open.manifest.measures.map((m) => ({
            value: m.name,
            name: m.title,
            about: m.about,
          }))}
          testId="measure"
          onChoose={chooseMeasure}
        />
      )}
      <span class="icons">
        <button
          type="button"
          class="icon"
          data-testid="table"
          title="Table of the layer’s units (.)"
          aria-label="Table of the layer’s units"
          aria-pressed={view.value === "table"}
          onClick={toggleTable}
        >
          <TableIcon />
        </button>
        <button
          type="button"
          class="icon"
          data-testid="theme"
          title="Light or dark (D)"
          aria-label="Light or dark theme"
          onClick={toggleTheme}
        >
          <ThemeIcon />
        </button>
        <button
          type="button"
          class="icon"
          data-testid="export"
          title="Save a picture or a film (E)"
          aria-label="Save a picture or a film"
          onClick={() => (exporting.value = true)}
        >
          <DownloadIcon />
        </button>
        {home().alone && (
          <button
            type="button"
            class="icon"
            data-testid="link"
            title="Copy link (S)"
            aria-label="Copy a link to this picture"
            onClick={() => void share()}
          >
            <LinkIcon />
          </button>
        )}
        <button
          type="button"
          class="icon"
          data-testid="keys"
          title="How to read, and keys (?)"
          aria-label="How to read, and keys"
          onClick={() => (help.value = true)}
        >
          <KeysIcon />
        </button>
      </span>
    </header>
  );
}
