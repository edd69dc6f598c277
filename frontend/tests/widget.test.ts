import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { RefusedError, UnreachableError } from "../src/wire/source";
import { WidgetSource, type Model } from "../src/wire/widget";

type Heard = Parameters<Model["on"]>[1];

class Kernel implements Model {
  readonly sent: { kind: string; id: number; key: string }[] = [];
  private heard: Heard = () => undefined;

  get(): unknown {
    return "";
  }
  send(content: unknown): void {
    this.sent.push(content as { kind: string; id: number; key: string });
  }
  on(name: string, heard: Heard): void {
    expect(name).toBe("msg:custom");
    this.heard = heard;
  }
  answer(id: number, status: number, bytes: number[] = []): void {
    // a part of a message, at an odd offset
    const whole = Uint8Array.of(9, 9, 9, ...bytes, 9);
    this.heard({ kind: "answer", id, status }, [new DataView(whole.buffer, 3, bytes.length)]);
  }
}

let kernel: Kernel;
let overdue: boolean[];
let source: WidgetSource;

beforeEach(() => {
  vi.useFakeTimers();
  kernel = new Kernel();
  overdue = [];
  source = new WidgetSource(kernel, (late) => overdue.push(late));
});

afterEach(() => {
  vi.useRealTimers();
});

test("answers find who asked, in any order, and hold their own bytes alone", async () => {
  const [a, b] = [source.get("a.st"), source.get("b.st")];
  expect(kernel.sent.map(({ kind, key }) => [kind, key])).toEqual([
    ["get", "a.st"],
    ["get", "b.st"],
  ]);
  kernel.answer(kernel.sent[1].id, 200, [3]);
  kernel.answer(kernel.sent[0].id, 200, [1, 2]);
  expect([...new Uint8Array(await a)]).toEqual([1, 2]);
  expect((await b).byteLength).toBe(1);
});

test("a refusal is final, a fault is worth another try", async () => {
  const gone = source.get("gone.st");
  kernel.answer(kernel.sent[0].id, 404);
  await expect(gone).rejects.toThrow(RefusedError);
  const broken = source.get("broken.st");
  kernel.answer(kernel.sent[1].id, 500);
  await expect(broken).rejects.toThrow(UnreachableError);
});

test("a kernel that is busy is waited for, and the page says so", async () => {
  const late = source.get("late.st");
  vi.advanceTimersByTime(5000);
  expect(overdue).toEqual([]);
  vi.advanceTimersByTime(60_000);
  expect(overdue).toEqual([true]);
  kernel.answer(kernel.sent[0].id, 200, [1]);
  expect((await late).byteLength).toBe(1);
  expect(overdue).toEqual([true, false]);
});

test("an answer that nobody waits for any more is passed over", async () => {
  const abort = new AbortController();
  const left = source.get("left.st", abort.signal);
  abort.abort(new Error("left"));
  await expect(left).rejects.toThrow("left");
  kernel.answer(kernel.sent[0].id, 200, [1]);
  vi.advanceTimersByTime(60_000);
  expect(overdue).toEqual([]);
});
