"""The run on disk: `run.zarr`, its commit, and reading it back. See docs/format.md."""

from huelapse.store.reader import StoreReader
from huelapse.store.thread import WriterThread
from huelapse.store.writer import StoreWriter, free_directory

__all__ = ["StoreReader", "StoreWriter", "WriterThread", "free_directory"]
