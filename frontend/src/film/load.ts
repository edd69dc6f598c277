// Loads the part of the page that makes films: from beside the page, or out of the file that it is in.

import type { FilmMaker } from "./film";

const FILE = "film.js";

let loading: Promise<FilmMaker> | null = null;

/** A failed one is forgotten, so that the next click tries again. */
export function loadMaker(): Promise<FilmMaker> {
  loading ??= load().catch((error: unknown) => {
    loading = null;
    throw error;
  });
  return loading;
}

async function load(): Promise<FilmMaker> {
  const script = document.createElement("script");
  script.type = "module";
  const packed = document.querySelector(`script[data-key="${FILE}"]`);
  if (packed) script.textContent = await textOf(packed);
  else script.src = FILE;
  return new Promise((resolve, reject) => {
    const came = (event: Event): void => resolve((event as CustomEvent<FilmMaker>).detail);
    addEventListener("huelapse-film", came, { once: true });
    script.onerror = () => {
      removeEventListener("huelapse-film", came);
      script.remove();
      reject(new Error("The part of the page that makes films could not be loaded; try again."));
    };
    document.head.append(script);
  });
}

/** As it was packed, to the letter: the file's policy names it by its hash. */
async function textOf(block: Element): Promise<string> {
  const bytes = Uint8Array.from(atob(block.textContent ?? ""), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}
