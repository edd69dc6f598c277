import { describe, expect, it, vi } from "vitest";

vi.stubGlobal("matchMedia", () => ({ matches: false }));
const { greatest } = await import("../src/rail/floor");

describe("the noise floor", () => {
  it("is that of the layer with the greatest, of those that have one", () => {
    expect(greatest([NaN, 0.01, 0.03, NaN, 0.02])).toEqual({ value: 0.03, layer: 2 });
    expect(greatest([-0.02, -0.01])).toEqual({ value: -0.01, layer: 1 });
    expect(greatest([NaN, NaN])).toBeNull();
    expect(greatest([])).toBeNull();
  });
});
