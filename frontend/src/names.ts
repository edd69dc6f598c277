// Layer names are their paths, shortened by one rule wherever a full path does not fit.

const LONG = 11;

const parts = (path: string): string[] => path.split(".");

/** Leading parts that every path shares say nothing ("model.", "module.") and are dropped. */
export function commonDepth(paths: readonly string[]): number {
  if (paths.length < 2) return 0;
  const split = paths.map(parts);
  const shortest = Math.min(...split.map((p) => p.length));
  let depth = 0;
  while (depth < shortest - 1 && split.every((p) => p[depth] === split[0][depth])) depth++;
  return depth;
}

/** A trailing place in a container ("stem.2") or a plain "relu" is dropped where nothing else could
 * be meant: no other layer stands below what remains. */
function dropLast(paths: readonly string[][]): string[][] {
  return paths.map((path, i) => {
    const last = path[path.length - 1];
    if (path.length < 2 || !/^(\d+|relu|gelu|silu|act|activation)$/i.test(last)) return [...path];
    const rest = path.slice(0, -1);
    const below = (other: readonly string[]) => rest.every((part, j) => other[j] === part);
    return paths.some((other, j) => j !== i && below(other)) ? [...path] : rest;
  });
}

/** "block1" → "b1", "blocks.11" → "b11"; a part without a number or with a short word ("fc1") stays,
 * and so does the last. */
function abbreviate(path: readonly string[]): string {
  const short: string[] = [];
  path.forEach((part, i) => {
    const numbered = /^([A-Za-z])[A-Za-z_]{4,}?_?(\d+)$/.exec(part);
    if (i === path.length - 1) short.push(part);
    else if (numbered) short.push(numbered[1] + numbered[2]);
    else if (i < path.length - 2 && /^[A-Za-z_]{2,}$/.test(part) && /^\d+$/.test(path[i + 1]))
      short.push(part[0]);
    else if (/^\d+$/.test(part) && /^[A-Za-z]$/.test(short[short.length - 1] ?? ""))
      short[short.length - 1] += part;
    else short.push(part);
  });
  return short.join(".");
}

export function shortNames(paths: readonly string[]): string[] {
  const depth = commonDepth(paths);
  const bare = dropLast(paths.map((path) => parts(path).slice(depth)));
  if (bare.every((p) => p.join(".").length <= LONG)) return bare.map((p) => p.join("."));
  const short = bare.map(abbreviate);
  // A name that no longer tells two layers apart is worse than a long one.
  const seen = new Map<string, number>();
  for (const name of short) seen.set(name, (seen.get(name) ?? 0) + 1);
  return short.map((name, i) => (seen.get(name) === 1 ? name : bare[i].join(".")));
}
