// What went wrong, and what to do about it, as a person would want to read it.

import { LEFT_OUT } from "./wire/inline";
import { DAMAGED, RefusedError, UnreachableError } from "./wire/source";

export function explain(error: unknown): string {
  if (error instanceof UnreachableError)
    return "The server does not answer. Start it with huelapse view, then reload.";
  if (error instanceof RefusedError && error.status === 403)
    return "This page needs its key: open the address that huelapse view printed.";
  if (error instanceof RefusedError && error.status === LEFT_OUT)
    return "This is not in the file: it was left out to keep it small. huelapse view shows all of the run.";
  if (error instanceof RefusedError && error.status === DAMAGED)
    return `${firstClause(error.why) || `A part of the run is damaged (${error.key})`}. huelapse verify RUN lists what is damaged.`;
  if (error instanceof RefusedError)
    return `The server has no ${error.key} (${error.status}). Check that the run is still where it was, then reload.`;
  return error instanceof Error ? error.message : String(error);
}

/** What is wrong, without what the library that noticed it says: that is in the console. */
export const firstClause = (why: string): string => why.split(/: |\. /)[0];
