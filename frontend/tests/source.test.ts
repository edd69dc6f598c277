import { afterEach, describe, expect, it, vi } from "vitest";
import { heard, server } from "../src/run/asking";
import { GivenUpError, HttpSource, RefusedError, UnreachableError } from "../src/wire/source";

/** A server that sends its head and then nothing, until it is given up. */
function hanging(body: boolean) {
  return vi.fn((_: string, { signal }: { signal: AbortSignal }) => {
    const never = (): Promise<never> =>
      new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    return body ? Promise.resolve({ ok: true, status: 200, arrayBuffer: never }) : never();
  });
}

afterEach(() => vi.unstubAllGlobals());

describe("a source over http", () => {
  it.each([true, false])("gives up what hangs, with or without a head (%s)", async (body) => {
    vi.stubGlobal("fetch", hanging(body));
    const source = new HttpSource();
    const found = source.get("r/a.st").catch((error: unknown) => error);
    await Promise.resolve();
    source.renew();
    expect(await found).toBeInstanceOf(GivenUpError);
    server.value = "answers";
    expect(heard(await found)).toBe(true); // asked again, though the server is there
    expect(server.value).toBe("answers");
  });

  it("tells who gave it up", async () => {
    vi.stubGlobal("fetch", hanging(false));
    const own = new AbortController();
    const found = new HttpSource().get("r/a.st", own.signal).catch((error: unknown) => error);
    own.abort();
    expect(await found).not.toBeInstanceOf(UnreachableError);
  });

  it("tells a server that refuses from one that is away", async () => {
    const answer = (status: number) => async () => ({ ok: false, status });
    vi.stubGlobal("fetch", answer(404));
    await expect(new HttpSource().get("r/a.st")).rejects.toBeInstanceOf(RefusedError);
    vi.stubGlobal("fetch", answer(503));
    await expect(new HttpSource().get("r/a.st")).rejects.toBeInstanceOf(UnreachableError);
    vi.stubGlobal("fetch", () => Promise.reject(new TypeError("Failed to fetch")));
    const error = await new HttpSource().get("r/a.st").catch((e: unknown) => e);
    expect(error).toBeInstanceOf(UnreachableError);
    expect(error).not.toBeInstanceOf(GivenUpError);
  });
});
