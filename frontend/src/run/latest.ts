// Loads what is wanted now, one at a time: while something is underway only the newest wish is kept.

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

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

/** What was refused last, and of which snapshot. */
export interface Refused {
  at: number;
  error: unknown;
}

interface Answer<T> {
  scope: readonly unknown[];
  loaded: Loaded<T> | null;
  refused: Refused | null;
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
  return useAnswer(scope, at, load).loaded;
}

/** As `useLatest`, with what was refused beside it, so that it can be told in place. */
export function useAnswer<T>(
  scope: readonly unknown[] | null,
  at: number,
  load: () => Promise<T>,
): { loaded: Loaded<T> | null; refused: Refused | null } {
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
  // before the next frame: what is here already must not blink
  useLayoutEffect(
    () => {
      wish.current = scope && { scope, at, load };
      const next = (): void => {
        const wanted = wish.current;
        if (!wanted || underway.current || !mounted.current) return;
        underway.current = true;
        const put = (loaded: Loaded<T> | null, refused: Refused | null = null): void => {
          if (mounted.current) setAnswer({ scope: wanted.scope, loaded, refused });
        };
        wanted
          .load()
          .then(
            (value) => put({ at: wanted.at, value }),
            (error: unknown) => {
              console.warn("huelapse:", error);
              put(null, { at: wanted.at, error });
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
  return answer && scope && same(answer.scope, scope) ? answer : NOTHING;
}

const NOTHING = { loaded: null, refused: null };

export function same(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((one, i) => Object.is(one, b[i]));
}
