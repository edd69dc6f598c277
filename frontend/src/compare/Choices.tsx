// With what is compared, how snapshots are paired, and in what the configs differ.

import { computed } from "@preact/signals";
import { Chooser } from "../frame/Chooser";
import { isolated } from "../inline";
import { baseOf, MARK } from "../run/groupings";
import type { Beside } from "../run/resources";
import { splitSentence } from "../sentences/snapshots";
import { by, NO_OTHER, other, runs, session } from "../state/chosen";
import { shownGrouping } from "../state/shown";
import { BY } from "../url";
import { against, otherManifest, otherRun, refused, wish } from "./now";
import { BY_TITLES, configText } from "./sentences";

export function Choices() {
  const open = session.value;
  const wanted = wish.value;
  if (!open) return null;
  const manifest = otherManifest.value;
  const splits = manifest?.splits.filter((split) => split.snapshots > 0) ?? [];
  const split = splits.find((s) => s.name === wanted?.split);
  // a split or grouping laid beside itself shows nothing
  const groupings = (split?.groupings ?? []).filter(
    (g) =>
      otherRun.value !== open.run ||
      split?.name !== open.split.name ||
      g.name !== (shownGrouping.value && baseOf(shownGrouping.value).name),
  );
  const choose = (part: Partial<typeof NO_OTHER>): void => {
    other.value = { run: otherRun.value, split: "", grouping: "", ...part };
  };
  const config = against.value?.beside.config ?? refused.value?.config ?? [];
  return (
    <div class="compare-choices">
      {runs.value.length > 1 && (
        <Chooser
          label="B"
          value={otherRun.value}
          options={runs.value
            .filter((run) => !run.error)
            .map((run) => ({
              value: run.id,
              name: isolated(run.id === open.run ? "the same run" : run.name),
              about: run.place && run.place !== run.name ? run.place : "",
            }))}
          testId="other-run"
          onChoose={(run) => choose({ run })}
        />
      )}
      {splits.length > 1 && wanted && (
        <Chooser
          label="Split"
          value={wanted.split}
          options={splits.map((s) => ({ value: s.name, name: s.name, about: splitSentence(s) }))}
          testId="other-split"
          onChoose={(name) => choose({ split: name })}
        />
      )}
      {groupings.length > 0 && wanted && (
        <Chooser
          label="B grouped by"
          value={wanted.grouping.split(MARK)[0]}
          options={groupings.map((g) => ({ value: g.name, name: isolated(g.title), about: "" }))}
          testId="other-grouping"
          onChoose={(name) => choose({ split: wanted.split, grouping: name })}
        />
      )}
      {against.value && !sameSnapshots.value && <Align pairs={against.value.beside.pairs} />}
      {config.length > 0 && <Config config={config} />}
    </div>
  );
}

/** Whether each snapshot goes with itself, whatever they are aligned by. */
const sameSnapshots = computed(() => {
  const found = against.value;
  return found !== null && found.a.run === found.b.run && found.a.split.name === found.b.split.name;
});

function Align({ pairs }: { pairs: Beside["pairs"] }) {
  return (
    <span class="field">
      <span class="label">Aligned by</span>
      <span class="segments" role="group" aria-label="Snapshots aligned by">
        {BY.map((name) => {
          const found = pairs[name];
          const why = "why" in found ? found.why : "";
          return (
            <button
              key={name}
              type="button"
              data-testid={`by-${name}`}
              aria-pressed={by.value === name}
              disabled={why !== ""}
              title={why || undefined}
              onClick={() => (by.value = name)}
            >
              {BY_TITLES[name]}
            </button>
          );
        })}
      </span>
    </span>
  );
}

function Config({ config }: { config: Beside["config"] }) {
  return (
    <details class="config" data-testid="config">
      <summary>{configText(config.map((one) => one.name))}</summary>
      <table>
        <thead>
          <tr>
            <th scope="col">Setting</th>
            <th scope="col">A</th>
            <th scope="col">B</th>
          </tr>
        </thead>
        <tbody>
          {config.map((one) => (
            <tr key={one.name}>
              <th scope="row">{isolated(one.name)}</th>
              {[one.a, one.b].map((value, i) => (
                <td key={i}>
                  {value === null ? <span class="quiet">not set</span> : <bdi>{value}</bdi>}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </details>
  );
}
