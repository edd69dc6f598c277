"""The files a checkpoint is made of, and what tells their content from any other's. No torch."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from huelapse.errors import CheckpointError

SAFE = ".safetensors"
PICKLED = (".pt", ".pth", ".ckpt", ".bin")
INDEX = ".index.json"
IN_FOLDER = (
    *("model.safetensors.index.json", "model.safetensors"),
    *("pytorch_model.bin.index.json", "pytorch_model.bin"),
)
"""What a folder of Transformers holds, in the order in which it is looked for."""
INDEX_BYTES = 64 * 2**20
WHOLE_BYTES = 256 * 2**20
"""Files up to here are told apart by all of their bytes."""
BLOCK = 2**20
BLOCKS = 64


def files_of(path: Path) -> list[Path]:
    """The files a checkpoint is made of: itself, those of its folder, those its index names.

    Raises:
        CheckpointError: it is none.
    """
    if path.is_dir():
        for name in IN_FOLDER:
            if (path / name).is_file():
                return files_of(path / name)
        single = [p for p in sorted(path.iterdir()) if p.suffix in (SAFE, *PICKLED)]
        weights = [p for p in single if p.stem not in ("optimizer", "scheduler", "training_args")]
        weights = [p for p in weights if not p.stem.startswith("rng_state")]
        if len(weights) == 1:
            return weights
        found = f"{len(weights)} files it could be" if weights else "none"
        raise CheckpointError(
            f"expected one of {', '.join(IN_FOLDER)} in the folder, found {found}"
        )
    if not path.is_file():
        raise CheckpointError("it is not there")
    if path.name.endswith(INDEX):
        return [path, *(path.parent / name for name in shards_of(path))]
    if path.suffix.lower() not in (SAFE, *PICKLED):
        raise CheckpointError(
            f"expected a file that ends with {SAFE}, {', '.join(PICKLED)}, or a folder of Transformers"
        )
    return [path]


def index_of(path: Path) -> dict[str, str]:
    """Tensor → file, as an index of several files says.

    Raises:
        CheckpointError: it says nothing.
    """
    try:
        if path.stat().st_size > INDEX_BYTES:
            raise CheckpointError(f"{path.name} is over {INDEX_BYTES >> 20} MB")
        found: Any = json.loads(path.read_bytes())["weight_map"]
        return {str(name): str(file) for name, file in found.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path.name} names no files: {line_of(error)}") from error


def shards_of(path: Path) -> list[str]:
    """The files that an index names, all beside it.

    Raises:
        CheckpointError: one is not.
    """
    names = sorted(set(index_of(path).values()))
    for name in names:
        if Path(name).name != name or not (path.parent / name).is_file():
            raise CheckpointError(f"{path.name} names {name!r:.99}, which is not beside it")
    return names


def line_of(error: Exception) -> str:
    """The first line of an error, in short."""
    return (str(error).splitlines() or [type(error).__name__])[0][:160]


def identity_of(path: Path) -> str:
    """What tells a checkpoint's content from any other's; of files over 256 MB by their size, time and
    64 blocks of them.

    Raises:
        CheckpointError: it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        for file in files_of(path):
            size = file.stat().st_size
            digest.update(f"{size}\n".encode())
            if size > WHOLE_BYTES:
                digest.update(str(file.stat().st_mtime_ns).encode())
            for block in _blocks(file, size):
                digest.update(block)
    except OSError as error:
        raise CheckpointError(f"it cannot be read: {line_of(error)}") from error
    return digest.hexdigest()


def _blocks(file: Path, size: int) -> Iterator[bytes]:
    with file.open("rb") as opened:
        if size <= WHOLE_BYTES:
            while block := opened.read(BLOCK):
                yield block
            return
        for i in range(BLOCKS):
            opened.seek((size - BLOCK) * i // (BLOCKS - 1))
            yield opened.read(BLOCK)
