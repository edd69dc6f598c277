"""Processes that train one model together: which of them this is, and what one may do alone."""

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from huelapse.errors import LayerError, OptionError

COLLECTIVES = ("c10d", "_c10d_functional", "_c10d_functional_autograd")
"""Namespaces of torch's operations that wait for other ranks."""


def process_rank(given: Any = None) -> tuple[int, int]:
    """(rank, ranks) of this process in a distributed training; (0, 1) outside of one.

    As given; else as `torch.distributed` says, where it is initialized; else as a launcher
    (torchrun) has told in the environment.

    Raises:
        OptionError: `given` is no such pair.
    """
    if given is not None:
        return _checked(given)
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    try:
        rank, ranks = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    except (KeyError, ValueError):
        return 0, 1
    return (rank, ranks) if 0 <= rank < ranks else (0, 1)


def _checked(given: Any) -> tuple[int, int]:
    pair: Any = tuple(given) if isinstance(given, tuple | list) else ()
    whole = len(pair) == 2 and all(type(n) is int for n in pair)
    if not whole or not 0 <= pair[0] < pair[1]:
        raise OptionError(
            f"ranks is {given!r}, expected (rank of this process, number of ranks), as in (0, 4); "
            f"(0, 1) for a process that records by itself"
        )
    return pair


def refuse_spread(model: nn.Module) -> None:
    """
    Raises:
        LayerError: weights are spread over ranks, so that one alone can run no forward.
    """
    tensors = sys.modules.get("torch.distributed.tensor")
    kind = getattr(tensors, "DTensor", None)
    if not isinstance(kind, type):
        return
    spread = [name for name, one in model.named_parameters() if isinstance(one, kind)]
    if spread:
        raise LayerError(
            f"the model's weights are spread over ranks ({', '.join(spread[:3])}: DTensor): a probe "
            f"on one rank would wait for the others for ever. Save checkpoints and replay them, or "
            f"record a DistributedDataParallel training"
        )


@contextmanager
def alone(model: nn.Module) -> Generator[None]:
    """A forward of ours, on this rank alone: nothing inside may wait for other ranks.

    Synchronized batch norms use their running statistics; another operation between ranks is refused
    before it is made, as the others' next one would be taken for its counterpart: the training would
    hang, or go on with wrong gradients.
    """
    distributed = torch.distributed
    if not distributed.is_available() or not distributed.is_initialized():
        yield
        return
    synchronized = [
        (module, module.training)
        for module in model.modules()
        if isinstance(module, nn.SyncBatchNorm)
    ]
    try:
        for module, _ in synchronized:
            module.training = False
        with _NoCollectives():
            yield
    finally:
        for module, mode in synchronized:
            module.training = mode


class _NoCollectives(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.namespace in COLLECTIVES:
            raise LayerError(
                f"the model's own forward talks to other ranks ({func}): one that huelapse runs on "
                f"this rank alone would wait for them for ever. Give Recorder the part of the model "
                f"that does not, or record after the training: save checkpoints and replay them"
            )
        return func(*args, **(kwargs or {}))
