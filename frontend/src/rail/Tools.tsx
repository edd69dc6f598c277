// Above a long list of classes: by which level they color, what is sought among them, their order.

import { Chooser } from "../frame/Chooser";
import { count, plural } from "../format";
import { baseOf, levelOf, levelsOf, type Level } from "../run/groupings";
import { chooseLevel } from "../state/choosing";
import { highlighted, sort, track } from "../state/chosen";
import { shownGrouping } from "../state/shown";
import type { Sort } from "../url";
import type { Grouping } from "../wire/manifest";
import { finder, query, rows, shownSort, sorts } from "./listing";

const SORT_NAMES: Record<Sort, [name: string, about: string]> = {
  given: ["as given", "in the order in which they are numbered"],
  superclass: ["superclass", "in what they belong to"],
  units: ["units", "most units tuned to it first"],
  recall: ["recall", "most often correct first"],
  change: ["change", "most units gained since the snapshot before first"],
  name: ["name", "by the alphabet"],
};

/** What classes are called where they can be shown by several levels. */
export function LevelChooser() {
  const shown = shownGrouping.value;
  const levels = shown ? levelsOf(shown) : [];
  if (!shown || levels.length < 2) return <span>Class</span>;
  return (
    <Chooser
      label="Color by"
      bare
      value={String(levelOf(shown))}
      options={levels.map((level) => ({
        value: String(level),
        name: levelName(shown, level),
        about: levelAbout(shown, level),
      }))}
      testId="level"
      onChoose={(value) =>
        chooseLevel(value === "class" || value === "finest" ? value : Number(value))
      }
    />
  );
}

function levelName(grouping: Grouping, level: Level): string {
  if (level === "class") return "Class";
  if (level === "finest") return "Finest level";
  const levels = baseOf(grouping).superclasses?.levels ?? [];
  return levels.length === 1
    ? "Superclass"
    : `Superclass, ${count(levels[level - 1].names.length)}`;
}

function levelAbout(grouping: Grouping, level: Level): string {
  const { classes, superclasses } = baseOf(grouping);
  const found = superclasses?.found ? ", found by how alike they are" : "";
  if (level === "class") return `${count(classes.length)} classes`;
  if (level === "finest")
    return "the class, or else the superclass, that surely drives a unit most";
  const n = superclasses?.levels[level - 1].names.length ?? 0;
  return `${count(n)} ${plural(n, "superclass", "superclasses")}${found}`;
}

/** To the next or previous class of the list. */
function walk(by: number): void {
  const listed = rows.peek().filter((row) => row.cls >= 0);
  if (listed.length === 0) return;
  const at = listed.findIndex((row) => row.cls === highlighted.peek());
  const next = at < 0 ? (by > 0 ? 0 : listed.length - 1) : at + by;
  highlighted.value = listed[Math.min(listed.length - 1, Math.max(0, next))].cls;
}

function onKeyDown(event: KeyboardEvent & { currentTarget: HTMLInputElement }): void {
  if (event.isComposing) return;
  const actions: Record<string, () => void> = {
    ArrowDown: () => walk(1),
    ArrowUp: () => walk(-1),
    Enter: () => rows.peek().some((row) => row.cls === highlighted.peek()) || walk(1),
    Escape: () => {
      if (query.peek()) query.value = "";
      else event.currentTarget.blur();
    },
  };
  const action = actions[event.key];
  if (!action) return;
  event.preventDefault();
  action();
}

export function Tools() {
  const total = track.value?.grouping.classes.length ?? 0;
  const found = rows.value.length;
  return (
    <div class="rail-tools">
      <label class="find">
        <span class="hidden">Find a class</span>
        <input
          ref={(element) => {
            finder.current = element;
          }}
          type="search"
          data-testid="find"
          placeholder="Find a class"
          title="Find a class (/); arrows and Enter highlight what is found"
          autocomplete="off"
          spellcheck={false}
          value={query.value}
          onInput={(event) => (query.value = event.currentTarget.value)}
          onKeyDown={onKeyDown}
        />
        {query.value ? (
          <span class="count" role="status" data-testid="found">
            {found === 0 ? "none" : `${count(found)} of ${count(total)}`}
          </span>
        ) : (
          <kbd aria-hidden="true">/</kbd>
        )}
      </label>
      <Chooser
        label="Sort"
        bare
        value={shownSort.value}
        options={sorts.value.map((name) => ({
          value: name,
          name: SORT_NAMES[name][0],
          about: SORT_NAMES[name][1],
        }))}
        testId="sort"
        onChoose={(name) => {
          sort.value = name as Sort;
        }}
      />
    </div>
  );
}
