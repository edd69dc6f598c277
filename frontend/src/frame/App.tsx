import { computed, effect } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { ClassesView } from "../classes/ClassesView";
import { CompareView } from "../compare/CompareView";
import { ConfusionView } from "../confusion/ConfusionView";
import { GeometryView } from "../geometry/GeometryView";
import { Inspector, isChosen } from "../inspector/Inspector";
import { LayerView } from "../layer/LayerView";
import { Network } from "../network/Network";
import { Rail } from "../rail/Rail";
import { announcement, playing, problem, session, view, waiting } from "../state/chosen";
import { server } from "../run/asking";
import { SamplesView } from "../samples/SamplesView";
import { TableView } from "../table/TableView";
import { Timeline } from "../timeline/Timeline";
import { viewTitle } from "../titles";
import { Export } from "../film/Export";
import { home } from "./home";
import { Help } from "./Help";
import { Tip } from "./tip";
import { TopBar } from "./TopBar";

export function App() {
  if (problem.value)
    return (
      <main class="problem" data-testid="problem">
        <h1>{waiting.value ? "Waiting for the first snapshot" : "This run cannot be shown"}</h1>
        <p class="subtitle">{problem.value}</p>
      </main>
    );
  // A notebook has a main part of its own.
  const Main = home().alone ? "main" : "section";
  return (
    <div class={layoutClass.value}>
      {home().alone && (
        <a class="skip" href="#main" onClick={focusMain}>
          Skip to the picture
        </a>
      )}
      <TopBar />
      <Rail />
      <Main class="main" id="main" tabIndex={-1} aria-label={home().alone ? undefined : "Picture"}>
        <Shown />
        <Banner />
      </Main>
      <Inspector />
      <Timeline />
      <Tip />
      <Help />
      <Export />
      <Notice />
      <Live />
    </div>
  );
}

function Shown() {
  switch (view.value) {
    case "layer":
      return <LayerView />;
    case "classes":
      return <ClassesView />;
    case "confusion":
      return <ConfusionView />;
    case "samples":
      return <SamplesView />;
    case "table":
      return <TableView />;
    case "compare":
      return <CompareView />;
    case "geometry":
      return <GeometryView />;
    default:
      return <Network />;
  }
}

/** What the page must make room for. */
const layoutClass = computed(() => {
  const names = ["page"];
  if (session.value?.snapshots === 1) names.push("single");
  if (isChosen.value) names.push("chosen");
  return names.join(" ");
});

const RESTARTED = "The viewer was restarted: open the address it printed";

function Banner() {
  if (server.value === "answers") return null;
  return (
    <p class="banner" role="status" data-testid="banner">
      {server.value === "away" ? home().away : RESTARTED}
    </p>
  );
}

/** The hash belongs to the state, so the link moves the focus itself. */
function focusMain(event: MouseEvent): void {
  event.preventDefault();
  (event.currentTarget as Element).closest(".page")?.querySelector<HTMLElement>("#main")?.focus();
}

const NOTICE_MS = 2400;

function Notice() {
  const text = announcement.value;
  useEffect(() => {
    if (!text) return;
    const timer = setTimeout(() => (announcement.value = ""), NOTICE_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return (
    <div class="notice" role="status" hidden={!text}>
      {text}
    </div>
  );
}

const LIVE_MS = 1000;
/** A title is not said before the first of it has come. */
const REST_MS = 300;

/** The title for those who listen: at most once a second while it changes, and not while playing. */
function Live() {
  const [said, say] = useState("");
  useEffect(() => {
    let timer = 0;
    let spoken = 0;
    const speak = (): void => {
      timer = 0;
      spoken = performance.now();
      say(viewTitle.peek());
    };
    const stop = effect(() => {
      void viewTitle.value;
      if (playing.value) {
        clearTimeout(timer);
        timer = 0;
      } else
        timer ||= window.setTimeout(speak, Math.max(REST_MS, spoken + LIVE_MS - performance.now()));
    });
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, []);
  return (
    <div class="hidden" aria-live="polite" data-testid="said">
      {said}
    </div>
  );
}
