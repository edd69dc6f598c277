"""Float32 against float64 sums: how exact, and at what price (decision 2)."""

import time

import harness
import numpy as np
import torch

from huelapse.capture.accumulator import Accumulator


def sums(x: torch.Tensor, labels: torch.Tensor, ref: torch.Tensor, dtype: torch.dtype):
    """Mean and standard deviation of class 0 by shifted sums in `dtype`, batch by batch."""
    total = torch.zeros(2, x.shape[1], dtype=dtype)
    squares = torch.zeros_like(total)
    for start in range(0, len(x), 128):
        d = x[start : start + 128].to(dtype) - ref.to(dtype)
        rows = labels[start : start + 128]
        total.index_add_(0, rows, d)
        squares.index_add_(0, rows, d * d)
    n = int((labels == 0).sum())
    t, s = total[0].double().numpy(), squares[0].double().numpy()
    return np.sqrt(np.maximum(s - t * t / n, 0) / (n - 1))


def measure(quick: bool) -> harness.Numbers:
    generator = torch.Generator().manual_seed(0)
    n = 2_000
    labels = torch.arange(n) % 2
    x = torch.full((n, 64), 0.1)
    own = labels == 0
    x[own] = 0.999 + 1e-4 * torch.randn(int(own.sum()), 64, generator=generator)
    truth = x[own].double().numpy().std(0, ddof=1)
    ref = torch.full((64,), 0.1)
    rms = float(np.sqrt((x.double().numpy() ** 2).mean()))
    numbers: harness.Numbers = {}
    for name, dtype in (("float32", torch.float32), ("float64", torch.float64)):
        spread = sums(x, labels, ref, dtype)
        numbers[f"worst_sd_error_of_rms_{name}"] = float(np.abs(spread - truth).max() / rms)
        numbers[f"worst_sd_ratio_{name}"] = float((spread / truth).max())

    for k in (10, 100, 1000):
        numbers |= fold_times(k, 20 if quick else 200)
    return numbers


def fold_times(k: int, repeats: int) -> harness.Numbers:
    """Processor time of folding 128 samples × 14,026 units into two groupings: ours, and plainly."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(1)
    samples, units = 128, 14_026
    x = torch.rand(samples, units, generator=generator)
    rows = {
        name: torch.randint(0, k, (samples,), generator=generator) for name in ("true", "predicted")
    }
    ours = Accumulator(dict.fromkeys(rows, k), units, torch.device("cpu"))
    wide = {name: [torch.zeros(k + 1, units, dtype=torch.float64) for _ in "ab"] for name in rows}
    counts = {name: [torch.zeros(k + 1, units, dtype=torch.int32) for _ in "ab"] for name in rows}
    others = torch.rand(
        12_000_000, generator=generator
    )  # 48 MB: what a forward leaves in the cache

    def plainly() -> None:
        finite = x.isfinite()
        d = torch.where(finite, x.double() - 0.5, 0.0)
        parts = (d, d * d), ((finite & (x > 0)).int(), (~finite).int())
        for name, row in rows.items():
            for own, values in zip((wide[name], counts[name]), parts, strict=True):
                for total, value in zip(own, values, strict=True):
                    total.index_add_(0, row, value)

    times: dict[str, list[float]] = {"ours": [], "plain": []}
    for _ in range(repeats):
        for name, fold in (("ours", lambda: ours.fold(x, rows)), ("plain", plainly)):
            others.sum()
            started = time.process_time()
            fold()
            times[name].append(time.process_time() - started)
    mine, theirs = harness.median(times["ours"]), harness.median(times["plain"])
    return {
        f"fold_cpu_ms_k{k}": 1e3 * mine,
        f"plain_fold_cpu_ms_k{k}": 1e3 * theirs,
        f"fold_of_plain_k{k}": mine / theirs,
    }


if __name__ == "__main__":
    harness.main(__doc__ or "", measure)
