"""What writing and reading a run costs, beside what else could hold its arrays.

    python benchmarks/store.py [--quick] [--json FILE]

Sizes: 10 classes x U units, 4 statistics of 4 bytes each, one grouping. All stores write the same
float32 and uint32 values, snapshot by snapshot, and sync each; the ratio is to one np.save + fsync of
the same bytes.
"""

import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import harness
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import runs
import zarr
from safetensors.numpy import save_file

import huelapse
from huelapse.compacting import compact
from huelapse.painting import Painter
from huelapse.store.values import values_of

CLASSES = 10
STATISTICS = ("mean", "m2", "active", "nonfinite")

Arrays = dict[str, np.ndarray]


@contextmanager
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="huelapse-bench-"))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def seconds(call: Callable[[], Any]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def best_of(n: int, call: Callable[[], Any]) -> float:
    return min(seconds(call) for _ in range(n))


def sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def stored(path: Path) -> int:
    if path.is_file():  # and what stands beside it: SQLite's log
        return sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*"))
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


# --- stores: each writes one snapshot durably -----------------------------------------------------


class Plain:
    """np.save + fsync, of everything in one array: the least there is to pay."""

    def __init__(self, path: Path, snapshots: int) -> None:
        path.mkdir()
        self.path = path

    def write(self, index: int, arrays: Arrays) -> None:
        whole = np.stack([array.view(np.uint32) for array in arrays.values()])
        with (self.path / f"{index}.npy").open("wb") as file:
            np.save(file, whole)
            file.flush()
            os.fsync(file.fileno())


class ZarrPython:
    """One shard a snapshot and array, then every new file synced."""

    def __init__(self, path: Path, snapshots: int) -> None:
        self.path, self._group, self._arrays = path, zarr.open_group(path, mode="w"), {}

    def write(self, index: int, arrays: Arrays) -> None:
        for name, value in arrays.items():
            if name not in self._arrays:
                tile = tuple(map(min, value.shape, (128, 512)))
                whole = tuple(-(-n // t) * t for n, t in zip(value.shape, tile, strict=True))
                self._arrays[name] = self._group.create_array(
                    name, shape=(0, *value.shape), shards=(1, *whole), chunks=(1, *tile),
                    dtype=value.dtype, compressors=zarr.codecs.BloscCodec(cname="lz4", clevel=5),
                )  # fmt: skip
            array = self._arrays[name]
            array.resize((index + 1, *value.shape))
            array[index] = value
            shard = self.path / name / "c" / str(index) / "0" / "0"
            if shard.exists():  # all zeros are not written
                sync(shard)
            sync(self.path / name / "zarr.json")


class Safetensors:
    """A file a snapshot."""

    def __init__(self, path: Path, snapshots: int) -> None:
        path.mkdir()
        self.path = path

    def write(self, index: int, arrays: Arrays) -> None:
        save_file(arrays, self.path / f"{index}.safetensors")
        sync(self.path / f"{index}.safetensors")


class Hdf5:
    """One growing file, lz4 not being there: gzip 1 with shuffle."""

    def __init__(self, path: Path, snapshots: int) -> None:
        self.path, self._file = path, h5py.File(path, "w")

    def write(self, index: int, arrays: Arrays) -> None:
        for name, value in arrays.items():
            if name not in self._file:
                self._file.create_dataset(
                    name, shape=(0, *value.shape), maxshape=(None, *value.shape), dtype=value.dtype,
                    chunks=(1, *map(min, value.shape, (128, 512))), compression="gzip",
                    compression_opts=1, shuffle=True,
                )  # fmt: skip
            data: Any = self._file[name]
            data.resize(index + 1, axis=0)
            data[index] = value
        self._file.flush()
        sync(self.path)


class Sqlite:
    """A row per statistic and snapshot, as a blob; WAL, synced at every commit."""

    def __init__(self, path: Path, snapshots: int) -> None:
        self._base = sqlite3.connect(path)
        self._base.execute("PRAGMA journal_mode=WAL")
        self._base.execute("PRAGMA synchronous=FULL")
        self._base.execute("CREATE TABLE s (step INTEGER, name TEXT, value BLOB)")

    def write(self, index: int, arrays: Arrays) -> None:
        rows = [(index, name, value.tobytes()) for name, value in arrays.items()]
        self._base.executemany("INSERT INTO s VALUES (?, ?, ?)", rows)
        self._base.commit()


class Parquet:
    """A file a snapshot, a row per class and unit, lz4."""

    def __init__(self, path: Path, snapshots: int) -> None:
        path.mkdir()
        self.path = path

    def write(self, index: int, arrays: Arrays) -> None:
        table = pa.table({name: value.reshape(-1) for name, value in arrays.items()})
        pq.write_table(table, self.path / f"{index}.parquet", compression="lz4")
        sync(self.path / f"{index}.parquet")


PEERS = {
    "zarr_python": ZarrPython, "safetensors": Safetensors, "hdf5": Hdf5, "sqlite": Sqlite,
    "parquet": Parquet,
}  # fmt: skip


def writes(units: int, snapshots: int, tag: str) -> harness.Numbers:
    """Each store in turn, snapshot by snapshot, so that they share the disk's moods."""
    source = runs.Synthetic(units, CLASSES)
    numbers: harness.Numbers = {}
    with folder() as path:
        store = runs.begin(path / "run", source)
        peers: dict[str, Any] = {"npsave": Plain(path / "npsave", snapshots)}
        peers |= {name: kind(path / name, snapshots) for name, kind in PEERS.items()}
        times: dict[str, list[float]] = {"huelapse": [], **{name: [] for name in peers}}
        raw = 0
        for index in range(snapshots):
            snapshot = source.snapshot(index)
            values = values_of(snapshot, ("mean",))
            arrays = {
                name: np.ascontiguousarray(values[f"val/true/{name}"]).astype(
                    np.float32 if name in ("mean", "m2") else np.uint32
                )
                for name in STATISTICS
            }
            raw += sum(array.nbytes for array in arrays.values())
            for name, peer in peers.items():
                times[name].append(seconds(partial(peer.write, index, arrays)))
            times["huelapse"].append(seconds(partial(store.commit, snapshot)))
        store.close()
        plain = harness.median(times.pop("npsave"))
        numbers[f"{tag}_raw_mb_a_snapshot"] = raw / snapshots / 1e6
        for name, own in times.items():
            numbers[f"{tag}_write_{name}_of_npsave"] = harness.median(own) / plain
            where = path / ("run/run.zarr" if name == "huelapse" else name)
            numbers[f"{tag}_bytes_{name}_of_raw"] = stored(where) / raw
    return numbers


def reads(units: int, snapshots: int) -> harness.Numbers:
    """A run of many snapshots, before and after `compact`."""
    numbers: harness.Numbers = {"read_snapshots": snapshots, "read_units": units}
    with folder() as path:
        source = runs.Synthetic(units, CLASSES)
        store = runs.begin(path / "run", source)
        times = [seconds(partial(store.commit, source.snapshot(t))) for t in range(snapshots)]
        store.close()
        tenth = max(1, snapshots // 10)
        numbers["append_last_tenth_of_first"] = harness.median(times[-tenth:]) / harness.median(
            times[:tenth]
        )
        numbers["open_ms"] = 1e3 * best_of(5, lambda: huelapse.open(path / "run").steps)
        run = huelapse.open(path / "run")
        layer = run.layers[3].slice
        numbers["slice_ms"] = 1e3 * best_of(9, lambda: run.moments(snapshots // 2, unit=layer))
        numbers["history_ms_uncompacted"] = 1e3 * best_of(3, lambda: run.through_time(units // 2))
        numbers["pictures_ms_a_snapshot"] = (
            1e3
            * seconds(lambda: Painter(run).chunk("val", "true", "margin", 0))
            / min(16, snapshots)
        )
        numbers["compact_seconds"] = seconds(lambda: list(compact(huelapse.open(path / "run"))))
        run = huelapse.open(path / "run")
        numbers["history_first_ms"] = 1e3 * seconds(lambda: run.through_time(1))
        numbers["history_ms"] = 1e3 * best_of(5, lambda: run.through_time(units // 3))
        numbers["pictures_of_16_ms"] = 1e3 * seconds(
            lambda: Painter(run).chunk("val", "true", "margin", 0)
        )
        numbers["cache_of_run"] = stored(path / "run/cache") / stored(path / "run/run.zarr")
    return numbers


def opening(snapshots: int) -> harness.Numbers:
    """Append and open at a tenth of the snapshots, and at all of them: a small net."""
    numbers: harness.Numbers = {"small_snapshots": snapshots, "small_units": 200}
    with folder() as path:
        source = runs.Synthetic(200, CLASSES)
        store = runs.begin(path / "run", source)
        taken = [source.snapshot(step) for step in range(50)]
        times: list[float] = []
        opened: list[float] = []
        for step in range(snapshots):
            one = taken[step % len(taken)]
            object.__setattr__(one, "step", step)
            times.append(seconds(partial(store.commit, one)))
            if step + 1 in (snapshots // 10, snapshots):
                opened.append(best_of(5, lambda: huelapse.open(path / "run").steps))
        store.close()
        tenth = snapshots // 10
        numbers["small_append_ms"] = 1e3 * harness.median(times)
        numbers["small_append_last_tenth_of_first"] = harness.median(
            times[-tenth:]
        ) / harness.median(times[:tenth])
        numbers["small_open_of_a_tenth"] = opened[1] / opened[0]
        numbers["small_open_ms"] = 1e3 * opened[1]
    return numbers


def wide(classes: int, units: int, snapshots: int) -> harness.Numbers:
    """Many classes, two groupings: what a snapshot takes, and what comes back."""
    numbers: harness.Numbers = {"wide_classes": classes, "wide_units": units}
    with folder() as path:
        source = runs.Synthetic(units, classes, ("true", "predicted"))
        store = runs.begin(path / "run", source)
        plain = Plain(path / "npsave", snapshots)
        times: dict[str, list[float]] = {"huelapse": [], "npsave": []}
        raw = 0
        for index in range(snapshots):
            snapshot = source.snapshot(index)
            values = values_of(snapshot, ("mean",))
            arrays = {
                f"{grouping}/{name}": np.ascontiguousarray(
                    values[f"val/{grouping}/{name}"], "<f4" if name in ("mean", "m2") else "<u4"
                )
                for grouping in ("true", "predicted")
                for name in STATISTICS
            }
            raw += sum(array.nbytes for array in arrays.values())
            times["npsave"].append(seconds(partial(plain.write, index, arrays)))
            del values, arrays
            times["huelapse"].append(seconds(partial(store.commit, snapshot)))
        store.close()
        numbers["wide_raw_mb_a_snapshot"] = raw / snapshots / 1e6
        numbers["wide_commit_seconds"] = harness.median(times["huelapse"])
        numbers["wide_write_of_npsave"] = harness.median(times["huelapse"]) / harness.median(
            times["npsave"]
        )
        numbers["wide_bytes_of_raw"] = stored(path / "run/run.zarr") / raw
        numbers["wide_open_ms"] = 1e3 * best_of(3, lambda: huelapse.open(path / "run").steps)
        run = huelapse.open(path / "run")
        layer = run.layers[3].slice
        numbers["wide_layer_ms"] = 1e3 * best_of(3, lambda: run.moments(1, unit=layer))
        numbers["wide_unit_ms"] = 1e3 * best_of(3, lambda: run.through_time(units // 2))
    return numbers


def measure(quick: bool) -> harness.Numbers:
    return {
        **writes(400, 6 if quick else 40, "small"),
        **writes(20_000 if quick else 162_500, 3 if quick else 10, "large"),
        **reads(2_000 if quick else 27_000, 70 if quick else 1_000),
        **opening(100 if quick else 10_000),
        **wide(100 if quick else 1_000, 1_000 if quick else 27_000, 2 if quick else 5),
    }


if __name__ == "__main__":
    harness.main(__doc__ or "", measure)
