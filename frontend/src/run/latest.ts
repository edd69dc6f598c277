// Loads what is wanted now, one at a time: while something is underway only the newest wish is kept.

import { useEffect, useRef, useState } from "preact/hooks";

export interface Loaded<T> {
  key: string;
  value: T;
}

/** The last that came of what was wanted; null until something has. A refusal leaves it as it is. */
export function useLatest<T>(key: string | null, load: () => Promise<T>): Loaded<T> | null {
  const [loaded, setLoaded] = useState<Loaded<T> | null>(null);
  const wish = useRef<{ key: string; load: () => Promise<T> } | null>(null);
  const underway = useRef(false);
  const mounted = useRef(true);
  useEffect(() => {
    mounted.current = true;
    return () => {
      mounted.current = false;
    };
  }, []);
  useEffect(() => {
    wish.current = key === null ? null : { key, load };
    const next = (): void => {
      const wanted = wish.current;
      if (!wanted || underway.current || !mounted.current) return;
      underway.current = true;
      wanted
        .load()
        .then(
          (value) => mounted.current && setLoaded({ key: wanted.key, value }),
          (error: unknown) => console.warn("huelapse:", error),
        )
        .finally(() => {
          underway.current = false;
          if (wish.current?.key !== wanted.key) next();
        });
    };
    next();
  }, [key]);
  return loaded;
}
