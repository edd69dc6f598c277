// What can be saved of the picture: itself, or a film of the run or of the part that is shown.

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { home } from "../frame/home";
import { CloseIcon } from "../frame/icons";
import { count, durationText, plural, stepText } from "../format";
import { exporting, session, snapshot, view, zoom } from "../state/chosen";
import { shownLayer } from "../state/shown";
import { FORMATS, type FormatName } from "./formats";
import { LAST, RATE, STANDS, whyNoFilm } from "./film";
import {
  askWhetherCanFilm,
  canFilm,
  makeFilm,
  makePicture,
  making,
  MOST,
  trouble,
  type Kind,
  type Making,
} from "./making";

/** A native dialog: it holds the focus, and gives it back when it closes. A film that is being made
 * goes on without it. */
export function Export() {
  const dialog = useRef<HTMLDialogElement>(null);
  const open = exporting.value;
  useEffect(() => {
    if (open && !dialog.current?.open) dialog.current?.showModal();
    if (!open) dialog.current?.close();
    if (open) void askWhetherCanFilm();
  }, [open]);
  const close = (): void => {
    exporting.value = false;
  };
  return (
    <dialog
      ref={dialog}
      class="help export"
      aria-label="Save"
      data-testid="export-dialog"
      onClose={close}
      onClick={(event) => event.target === dialog.current && close()}
    >
      {open && (
        <div>
          <h1>
            Save the network
            <button type="button" class="icon" aria-label="Close" onClick={close}>
              <CloseIcon />
            </button>
          </h1>
          <p class="subtitle">
            {view.value !== "network" && "Not the view that is open, but the network. "}In this
            theme, with these classes and this threshold; title, step, run and key are in it.
          </p>
          <Pictures />
          <Films />
          <OpenView />
          {trouble.value && (
            <p class="trouble" role="alert" data-testid="export-trouble">
              {trouble.value}
            </p>
          )}
        </div>
      )}
    </dialog>
  );
}

function Row(props: { name: string; about: JSX.Element | string; children?: JSX.Element }) {
  return (
    <section>
      <div>
        <h2>{props.name}</h2>
        <p>{props.about}</p>
      </div>
      {props.children}
    </section>
  );
}

const FOR: Record<FormatName, string> = {
  screen: "For a screen",
  slide: "For a slide",
  column: "For a column",
};

/** What is paper's is as tall as it must be. */
const pixelsOf = (name: FormatName): string => {
  const { width, height, ratio } = FORMATS[name];
  if (name === "column") return `${width * ratio} pixels wide: 3.35 inches at 600 dpi`;
  const larger = name === "slide" ? ", texts twice as large" : "";
  return `${width * ratio} × ${height * ratio} pixels${larger}`;
};

function Pictures() {
  const [format, setFormat] = useState<FormatName>("screen");
  const step = stepText(session.value?.scalars.step[snapshot.value] ?? 0);
  const row = (kind: "png" | "svg", about: string) => (
    <Row name={`Picture (${kind.toUpperCase()})`} about={`Step ${step}, ${about}`}>
      <button
        type="button"
        class="do"
        data-testid={`save-${kind}`}
        disabled={making.value !== null}
        onClick={() => void makePicture(kind, format)}
      >
        Save
      </button>
    </Row>
  );
  return (
    <>
      <span class="segments" role="group" aria-label="What a picture is for">
        {(Object.keys(FOR) as FormatName[]).map((name) => (
          <button
            key={name}
            type="button"
            data-testid={`size-${name}`}
            aria-pressed={format === name}
            onClick={() => setFormat(name)}
          >
            {FOR[name]}
          </button>
        ))}
      </span>
      {row("png", pixelsOf(format))}
      {row("svg", "shapes and texts that a drawing program can change")}
    </>
  );
}

/** What draws the view that is open, where the page itself does not. */
function OpenView() {
  const of = { layer: "layer", classes: "classes" }[view.value as string];
  const path = session.value?.layers[shownLayer.value]?.path ?? "";
  if (!of) return null;
  const layer = of === "layer" ? ` --layer ${/^[\w.-]+$/.test(path) ? path : `'${path}'`}` : "";
  return (
    <Row
      name={of === "layer" ? "This layer" : "The classes"}
      about={`As PNG, SVG or PDF: huelapse export RUN -o ${of}.pdf --picture ${of}${layer}`}
    />
  );
}

/** Films of one kind in a row; of which snapshots is chosen once for both. */
function Films() {
  const [part, setPart] = useState(zoom.peek() !== null);
  const open = session.value;
  if (!open || open.snapshots < 2) return null;
  if (!home().alone)
    return (
      <Row
        name="Film"
        about="Films are made in a tab of their own (huelapse view RUN), or by huelapse export RUN -o run.mp4"
      />
    );
  // a span begins and ends between snapshots
  const span = part ? zoom.value : null;
  const [from, to] = span ? [Math.ceil(span.from), Math.floor(span.to)] : [0, open.snapshots - 1];
  return (
    <>
      <Film kind="mp4" name="Film (MP4)" pixels="1920 × 1080" from={from} to={to} />
      <Film kind="gif" name="Film (GIF)" pixels="1280 × 720" from={from} to={to} />
      {zoom.value && (
        <span class="segments" role="group" aria-label="Snapshots of a film">
          {[false, true].map((one) => (
            <button
              key={String(one)}
              type="button"
              data-testid={one ? "film-part" : "film-all"}
              aria-pressed={part === one}
              onClick={() => setPart(one)}
            >
              {one ? "The part shown" : "All snapshots"}
            </button>
          ))}
        </span>
      )}
    </>
  );
}

function Film(of: { kind: Kind; name: string; pixels: string; from: number; to: number }) {
  const { kind, name, pixels, from, to } = of;
  const now = making.value;
  if (now?.kind === kind) return <Progress name={name} now={now} />;
  if (kind === "mp4" && canFilm.value === null) return <Row name={name} about="…" />;
  if (kind === "mp4" && !canFilm.value)
    return <Row name={name} about={whyNoFilm(isSecureContext)} />;
  const n = to - from + 1;
  const most = MOST[kind];
  const seconds = ((n - 1) * STANDS + LAST) / RATE;
  return (
    <Row
      name={name}
      about={
        n > most
          ? `${count(n)} snapshots are more than its ${count(most)}: zoom in on a part of the run`
          : `${count(n)} ${plural(n, "snapshot")}, ${durationText(seconds)}, ${pixels} pixels`
      }
    >
      <button
        type="button"
        class="do"
        data-testid={`save-${kind}`}
        disabled={n > most || now !== null}
        onClick={() => void makeFilm(kind, from, to)}
      >
        Save
      </button>
    </Row>
  );
}

function Progress({ name, now }: { name: string; now: Making }) {
  return (
    <Row
      name={name}
      about={
        <>
          {count(now.made)} of {count(now.pictures)} snapshots
          <progress max={now.pictures} value={now.made} aria-label="Making the film" />
        </>
      }
    >
      <button
        type="button"
        class="do"
        data-testid={`stop-${now.kind}`}
        onClick={() => now.stop.abort()}
      >
        Cancel
      </button>
    </Row>
  );
}
