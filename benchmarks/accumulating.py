"""Float32 against float64 sums: how exact, and at what price (decision 2)."""

import time

import harness
import numpy as np
import torch


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

    responses = torch.rand(128, 14_026, generator=generator)
    rows = torch.randint(0, 10, (128,), generator=generator)
    times: dict[torch.dtype, list[float]] = {torch.float32: [], torch.float64: []}
    state = {d: [torch.zeros(11, 14_026, dtype=d) for _ in range(2)] for d in times}
    for _ in range(30 if quick else 200):
        for dtype, (total, squares) in state.items():
            started = time.process_time()
            d = responses.to(dtype) - 0.5
            total.index_add_(0, rows, d)
            squares.index_add_(0, rows, d * d)
            times[dtype].append(time.process_time() - started)
    for name, dtype in (("float32", torch.float32), ("float64", torch.float64)):
        numbers[f"fold_cpu_ms_{name}"] = 1e3 * harness.median(times[dtype])
    numbers["fold_ratio"] = numbers["fold_cpu_ms_float64"] / numbers["fold_cpu_ms_float32"]
    return numbers


if __name__ == "__main__":
    harness.main(__doc__ or "", measure)
