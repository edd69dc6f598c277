// Loads what is wanted now, one at a time: while something is underway only the newest wish is kept.

import { useEffect, useRef, useState } from "preact/hooks";

export interface Loaded<T> {
  /** Of which snapshot. */
  at: number;
  value: T;
}

interface Wish<T> {
  scope: readonly unknown[];
  at: number;
  load: () => Promise<T>;
}

interface Answer<T> {
  scope: readonly unknown[];
  /** Null where it was refused. */
  loaded: Loaded<T> | null;
}

/** The last that came of what is wanted, perhaps of another snapshot than `at`; null until something
 * has, while what was loaded is of another scope, and once a wish was refused.
 *
 * @param scope what it is of, snapshots aside, compared by identity; null where nothing is wanted. */
export function useLatest<T>(
  scope: readonly unknown[] | null,
  at: number,
  load: () => Promise<T>,
): Loaded<T> | null {
  const [answer, setAnswer] = useState<Answer<T> | null>(null);
  const wish = useRef<Wish<T> | null>(null);
  const underway = useRef(false);
  const mounted = useRef(true);
  useEffect(() => {
    mounted.current = true;
    return () => {
      mounted.current = false;
    };
  }, []);
  useEffect(
    () => {
      wish.current = scope && { scope, at, load };
      const next = (): void => {
        const wanted = wish.current;
        if (!wanted || underway.current || !mounted.current) return;
        underway.current = true;
        const put = (loaded: Loaded<T> | null): void => {
          if (mounted.current) setAnswer({ scope: wanted.scope, loaded });
        };
        wanted
          .load()
          .then(
            (value) => put({ at: wanted.at, value }),
            (error: unknown) => {
              console.warn("huelapse:", error);
              put(null);
            },
          )
          .finally(() => {
            underway.current = false;
            if (wish.current !== wanted) next();
          });
      };
      next();
    },
    scope ? [...scope, at] : [null],
  );
  return answer && scope && same(answer.scope, scope) ? answer.loaded : null;
}

export function same(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((one, i) => Object.is(one, b[i]));
}
