"""Reading a checkpoint's file, and nothing else: no code of it is ever run.

`.safetensors` holds tensors alone. Other files are pickles: they are read by
`torch.load(weights_only=True)` and never in another way, and not at all by a torch in which that is
known to be unsafe.
"""

import json
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from huelapse.errors import CheckpointError
from huelapse.replaying.files import INDEX, PICKLED, SAFE, files_of, index_of, line_of

HOLES = (((2, 6), "CVE-2025-32434"), ((2, 10), "CVE-2026-24747"))
"""torch versions from which on weights_only=True is not known to run code of the file."""


def read(path: Path) -> Any:
    """What a checkpoint holds: tensors by name, nested or not.

    Raises:
        CheckpointError: it is none, is damaged, or holds what only running its code would give.
    """
    files = files_of(path)
    if not files[0].name.endswith(INDEX):
        return _read_file(files[0])
    whole: dict[str, Any] = {}
    for file in files[1:]:
        part = _read_file(file)
        if not isinstance(part, Mapping):
            raise CheckpointError(f"{file.name} holds no tensors by name")
        whole |= part
    missing = sorted(index_of(files[0]).keys() - whole.keys())
    if missing:
        raise CheckpointError(f"{files[0].name} names {missing[0]!r:.99}, which no file holds")
    return whole


def _read_file(path: Path) -> Any:
    try:
        if path.suffix.lower() == SAFE:
            with safe_open(path, "pt", device="cpu") as file:
                return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path.name} is cut short or damaged: {line_of(error)}") from error
    check_torch(path)
    try:
        return _unpickled(path)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path.name} holds more than tensors and plain values, and nothing of it was run: "
            f"{_refused(error)}. Save the state_dict alone, as .safetensors for one; or, where you "
            f"trust the file, let the module of your model call torch.serialization."
            f"add_safe_globals([…])"
        ) from error
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{path.name} is cut short or damaged: {line_of(error)}") from error
    except Exception as error:  # what a pickle that was tampered with can make of its reader
        raise CheckpointError(
            f"{path.name} cannot be read: {type(error).__name__}: {line_of(error)}"
        ) from error


def _unpickled(path: Path) -> Any:
    mapped = zipfile.is_zipfile(path)  # files of before torch 1.6 cannot be
    return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)


def check_torch(path: Path, version: str = torch.__version__) -> None:
    numbers = tuple(int(n) for n in version.split("+")[0].split(".")[:2] if n.isdigit())
    for fixed, name in HOLES:
        if numbers < fixed:
            raise CheckpointError(
                f"{path.name} is a pickle, and in torch {version} reading it can run its code even "
                f"with weights_only=True ({name}). Use torch {fixed[0]}.{fixed[1]} or newer "
                f"(pip install -U torch), or save checkpoints as .safetensors"
            )


def _refused(error: Exception) -> str:
    """What torch would not unpickle, without its advice to do so after all."""
    text = str(error)
    for mark in ("WeightsUnpickler error: ", "Unsupported "):
        at = text.find(mark)
        if at >= 0:
            return text[at:].removeprefix("WeightsUnpickler error: ").splitlines()[0][:160]
    return text.splitlines()[0][:160] if text else "it is no such file"


def said_inside(path: Path) -> Mapping[str, Any]:
    """What a checkpoint says of itself beside its tensors; empty where it says nothing.

    Raises:
        CheckpointError: as `read`.
    """
    if path.is_dir() and (path / "trainer_state.json").is_file():
        try:
            told: Any = json.loads((path / "trainer_state.json").read_bytes())
        except (OSError, ValueError) as error:
            raise CheckpointError(f"trainer_state.json cannot be read: {line_of(error)}") from error
        return told if isinstance(told, dict) else {}
    file = files_of(path)[0]
    if file.suffix.lower() == SAFE:
        try:
            with safe_open(file, "pt") as opened:
                return dict(opened.metadata() or {})
        except (SafetensorError, OSError) as error:
            raise CheckpointError(
                f"{file.name} is cut short or damaged: {line_of(error)}"
            ) from error
    content = _read_file(file) if file.suffix.lower() in PICKLED else {}
    return content if isinstance(content, Mapping) else {}
