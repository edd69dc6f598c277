"""The run on disk: `run.zarr`, its commit, and reading it back. See docs/format.md."""

from huelapse.store.directory import (
    check_free,
    check_resumable,
    check_split_name,
    free_directory,
    holds_run,
)
from huelapse.store.forked import check_not_forked
from huelapse.store.reader import StoreReader, holds_snapshot
from huelapse.store.thread import WriterThread
from huelapse.store.writer import StoreWriter

__all__ = [
    "StoreReader",
    "StoreWriter",
    "WriterThread",
    "check_free",
    "check_not_forked",
    "check_resumable",
    "check_split_name",
    "free_directory",
    "holds_run",
    "holds_snapshot",
]
