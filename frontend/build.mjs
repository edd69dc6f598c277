// Bundles the page into the directory the Python package serves: index.html, main.js, main.css,
// film.js (loaded when a film is asked for), the font and its license, and nothing else.
import { context } from "esbuild";
import { copyFile, mkdir, rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import path from "node:path";

const here = path.dirname(fileURLToPath(import.meta.url));
const out = path.resolve(here, process.env.HUELAPSE_STATIC ?? "../src/huelapse/viewer/static");
const inter = path.join(here, "node_modules/@fontsource-variable/inter");
const watch = process.argv.includes("--watch");

await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });
await Promise.all([
  copyFile(path.join(here, "src/index.html"), path.join(out, "index.html")),
  copyFile(path.join(inter, "files/inter-latin-wght-normal.woff2"), path.join(out, "inter.woff2")),
  copyFile(path.join(inter, "LICENSE"), path.join(out, "inter-LICENSE.txt")),
]);

const bundle = await context({
  absWorkingDir: here,
  entryPoints: { main: "src/main.tsx", film: "src/film/maker.ts" },
  outdir: out,
  bundle: true,
  format: "esm",
  target: ["es2022", "chrome111", "firefox113", "safari16.4"],
  jsx: "automatic",
  jsxImportSource: "preact",
  minify: !watch,
  sourcemap: watch ? "inline" : false,
  legalComments: "inline",
  external: ["*.woff2"],
  logLevel: "info",
});

if (watch) {
  await bundle.watch();
} else {
  await bundle.rebuild();
  await bundle.dispose();
}
