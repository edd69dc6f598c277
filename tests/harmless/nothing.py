"""A CUDA device that does not exist, and what would wait for it."""

import ctypes
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode

CUDA = torch.device("cuda", 0)


def allow_cuda() -> None:
    """Let a torch that was built without CUDA name such devices.

    Even for fake tensors it asks who changes the current device, and has nobody for CUDA. The one
    of the meta device, which does nothing, is put in its place.
    """
    if torch.backends.cuda.is_built():
        return
    library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libc10.so"))
    name = "_ZN3c104impl26device_guard_impl_registryE"
    guards = (ctypes.c_void_p * 22).in_dll(library, name)
    cuda, meta = 1, 14
    assert guards[meta]
    guards[cuda] = guards[meta]


READS = {
    *("_local_scalar_dense", "item", "equal", "is_nonzero", "nonzero", "nonzero_numpy"),
    *("masked_select", "unique", "_unique", "_unique2", "unique_dim", "unique_consecutive"),
    *("bincount", "argwhere", "repeat_interleave", "_assert_async", "is_pinned"),
}
"""Operations whose result or shape depends on values."""


class Waiting(TorchDispatchMode):
    """Notes what would make the host wait for the device."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        self.operations += 1
        reason = self._reason(func, args, kwargs)
        if reason:
            where = [f for f in traceback.extract_stack() if "huelapse/" in f.filename][-1:]
            place = f"{Path(where[0].filename).name}:{where[0].lineno}" if where else "the model"
            self.found.append(f"{reason} at {place}")
        return func(*args, **kwargs)

    def _reason(self, func: Any, args: Any, kwargs: Any) -> str | None:
        name = func._schema.name.removeprefix("aten::")
        tensors = [t for t in torch.utils._pytree.tree_leaves((args, kwargs)) if _is_tensor(t)]
        if not any(t.device.type == "cuda" for t in tensors):
            target = kwargs.get("device")
            if name == "_to_copy" and target is not None and torch.device(target).type == "cuda":
                return None if kwargs.get("non_blocking") else "copies from the host, waiting"
            return None
        if name in READS:
            return name
        if name in ("index", "index_put", "index_put_", "_index_put_impl_"):
            masks = [t for t in args[1] if t is not None and t.dtype in (torch.bool, torch.uint8)]
            return f"{name} with a mask" if masks else None
        if name == "_to_copy" and kwargs.get("device") is not None:
            return "copies to the host" if torch.device(kwargs["device"]).type == "cpu" else None
        if name in ("copy_", "_copy_from"):
            target, source = args[0].device.type, args[1].device.type
            blocking = not (len(args) > 2 and args[2]) and not kwargs.get("non_blocking")
            if (target, source) == ("cpu", "cuda"):
                return "copies to the host"
            if (target, source) == ("cuda", "cpu") and blocking and args[1].ndim:
                return "copies from the host, waiting"
        return None


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Tensor)


def on_nothing(build: Callable[[], nn.Module]) -> nn.Module:
    """A model on the device that does not exist."""
    with unset_fake_temporarily():
        model = build()
    for module in model.modules():
        for name, p in list(module._parameters.items()):
            if p is not None:
                setattr(module, name, nn.Parameter(torch.empty(p.shape, device=CUDA)))
        for name, b in list(module._buffers.items()):
            if b is not None:
                setattr(module, name, torch.empty(b.shape, dtype=b.dtype, device=CUDA))
    return model
