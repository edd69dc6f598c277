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
    return `A part of the run cannot be read back: ${error.why || error.key} (huelapse verify RUN says what of it is whole).`;
  if (error instanceof RefusedError)
    return `The server has no ${error.key} (${error.status}). Check that the run is still where it was, then reload.`;
  return error instanceof Error ? error.message : String(error);
}
