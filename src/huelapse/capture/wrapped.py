"""What a model may be wrapped in, and the user's own module inside."""

import sys

import torch
from torch import nn

from huelapse.errors import LayerError


def refuse_wrapped(model: nn.Module) -> None:
    """
    Raises:
        LayerError: hooks cannot follow what the model is wrapped in, or it is no module.
    """
    if not isinstance(model, nn.Module):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise LayerError(f"model is {type(model).__name__}, expected a torch.nn.Module")
    if isinstance(model, torch.jit.ScriptModule):
        raise LayerError(
            "the model is a TorchScript module, whose insides take no hooks; "
            "record the Python module it was made from"
        )
    if isinstance(model, nn.DataParallel):
        raise LayerError(
            "the model is wrapped in DataParallel, which runs short-lived copies of it that "
            "hooks cannot follow; record model.module, or use DistributedDataParallel"
        )
    sharded = sys.modules.get("torch.distributed.fsdp")
    kinds = tuple(
        kind
        for name in ("FSDPModule", "FullyShardedDataParallel")
        if isinstance(kind := getattr(sharded, name, None), type)
    )
    if kinds and any(isinstance(module, kinds) for module in model.modules()):
        raise LayerError(
            "the model is sharded (FSDP): a probe on one rank would wait for the others for ever, "
            "and its weights are never whole in one place. Save checkpoints and replay them, or "
            "record a DistributedDataParallel training"
        )


def unwrapped(model: nn.Module) -> nn.Module:
    """The user's own module inside torch.compile's or DistributedDataParallel's wrapper."""
    inner = getattr(model, "_orig_mod", None)
    if isinstance(inner, nn.Module):
        return unwrapped(inner)
    if isinstance(model, nn.parallel.DistributedDataParallel):
        return unwrapped(model.module)
    return model
