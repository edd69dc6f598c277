// What went wrong, and what to do about it, as a person would want to read it.

import { LEFT_OUT } from "./wire/inline";
import { RefusedError, UnreachableError } from "./wire/source";

/** What a server answers of a part that it cannot read. */
const DAMAGED = 422;

export function explain(error: unknown): string {
  if (error instanceof UnreachableError)
    return "The server does not answer. Start it with huelapse view, then reload.";
  if (error instanceof RefusedError && error.status === 403)
    return "This page needs its key: open the address that huelapse view printed.";
  if (error instanceof RefusedError && error.status === LEFT_OUT)
    return "This is not in the file: it was left out to keep it small. huelapse view shows all of the run.";
  if (error instanceof RefusedError && error.status === DAMAGED)
    return `This part of the run is damaged (${error.key}): huelapse verify says what of it can be read.`;
  if (error instanceof RefusedError)
    return `The server has no ${error.key} (${error.status}). Check that the run is still where it was, then reload.`;
  return error instanceof Error ? error.message : String(error);
}
