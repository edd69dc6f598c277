"""Leaving no trace: whatever runs inside, the model and every random generator are as before."""

# pyright: reportPrivateUsage=false
# what a module is made of has no public name

import random
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn


@contextmanager
def same_randomness(seed: int | None = None) -> Generator[None]:
    """Put back the state of every global random generator: torch (all devices), numpy, random.

    With `seed`, everything inside starts from that seed, so that it is the same each time.
    """
    cpu = torch.get_rng_state()
    # asking for CUDA's states would initialise it, which is not ours to do
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    mps = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None
    numpy_state = np.random.get_state()
    python_state = random.getstate()
    try:
        if seed is not None:
            # not torch.manual_seed: before CUDA is initialised it would queue a seed for later
            torch.default_generator.manual_seed(seed)
            if cuda is not None:
                torch.cuda.manual_seed_all(seed)
            np.random.seed(seed)
            random.seed(seed)
        yield
    finally:
        torch.set_rng_state(cpu)
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)
        if mps is not None:
            torch.mps.set_rng_state(mps)
        np.random.set_state(numpy_state)
        random.setstate(python_state)


@contextmanager
def same_generators(loader: Any) -> Generator[None]:
    """Put back the generators a DataLoader or its samplers were given: others may share them."""
    owners = [loader, loader.sampler, loader.batch_sampler]
    owners.append(getattr(loader.batch_sampler, "sampler", None))
    found = [getattr(owner, "generator", None) for owner in owners]
    generators = [(g, g.get_state()) for g in found if isinstance(g, torch.Generator)]
    try:
        yield
    finally:
        for generator, state in generators:
            generator.set_state(state)


STRUCTURE = {"_parameters", "_modules", "_buffers", "training"}
"""Entries of a module's `__dict__` that are put back on their own, or never changed by a forward."""


@contextmanager
def same_model(model: nn.Module, *, as_it_is: bool = False) -> Generator[None]:
    """Put back what a forward can change: modes, buffers (bit for bit), gradients, attributes.

    Inside, all modules are in eval mode, no gradient is recorded, autocast and parametrizations'
    cache are off (they may hold weights from before the last update) and compiled code runs
    eagerly; with `as_it_is` modes and autocast stay, without its cache. Attributes of modules are
    put back as references, tensors by content: what a forward changes *inside* a list or dict of
    its own stays.
    """
    modules = list(model.modules())
    modes = [(module, module.training) for module in modules]
    # a stateless call puts other tensors in the place of parameters, which have no gradient
    gradients = [(p, p.grad) for p in model.parameters() if p.is_leaf]
    kept = [_Kept(module) for module in modules]
    devices = {t.device.type for t in (*model.parameters(), *model.buffers())} | {"cpu"}
    try:
        if not as_it_is:
            for module in modules:
                module.training = False
        for parameter, _ in gradients:
            parameter.grad = None  # a backward inside the forward would add to it
        with ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            stack.enter_context(_no_parametrization_cache())
            if as_it_is:
                stack.callback(torch.set_autocast_cache_enabled, torch.is_autocast_cache_enabled())
                torch.set_autocast_cache_enabled(False)
            else:
                for device in devices & {"cpu", "cuda", "mps", "xpu"}:
                    stack.enter_context(torch.autocast(device, enabled=False))
            if "torch._dynamo" in sys.modules:  # else nothing can be compiled
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            yield
    finally:
        for module, mode in modes:
            module.training = mode
        for parameter, gradient in gradients:
            if parameter.grad is not gradient:
                parameter.grad = gradient
        with torch.no_grad(), ExitStack() as stack:
            for one in kept:
                stack.callback(one.put_back)  # all of them, though one fails


class _Kept:
    """One module's buffers and attributes, and weights that its forward changes."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._attributes = {k: v for k, v in module.__dict__.items() if k not in STRUCTURE}
        # a scripted module's are no dict, and are left alone
        self._plain = hasattr(module._buffers, "clear")
        self._buffers = dict(module._buffers) if self._plain else {}
        self._temporary = set(module._non_persistent_buffers_set) if self._plain else set[str]()
        tensors: list[Any] = [*self._buffers.values(), *self._attributes.values()]
        if getattr(module, "max_norm", None) is not None:
            tensors.append(getattr(module, "weight", None))  # an embedding renormalises its weight
        self._contents = [
            (tensor, tensor.detach().clone())
            for tensor in tensors
            if isinstance(tensor, torch.Tensor) and _is_plain(tensor)
        ]

    def put_back(self) -> None:
        own = self._module.__dict__
        for name in own.keys() - self._attributes.keys() - STRUCTURE:
            del own[name]
        own.update(self._attributes)
        if self._plain:
            self._module._buffers.clear()
            self._module._buffers.update(self._buffers)
            self._module._non_persistent_buffers_set.clear()
            self._module._non_persistent_buffers_set.update(self._temporary)
        for tensor, content in self._contents:
            # only where it differs: writing would break a graph that has saved the tensor
            if not _same_bits(tensor, content):
                tensor.copy_(content)


def _is_plain(tensor: torch.Tensor) -> bool:
    """Whether a tensor's bytes can be compared; sparse, quantised and the like are left alone."""
    return (
        tensor.layout == torch.strided
        and not (tensor.is_quantized or tensor.is_meta or tensor.is_nested)
        and not (tensor.is_conj() or tensor.is_neg())
        and type(tensor) in (torch.Tensor, nn.Parameter)
    )


def _same_bits(a: torch.Tensor, b: torch.Tensor) -> bool:
    flat = [t.detach().contiguous().reshape(-1).view(torch.uint8) for t in (a, b)]
    return torch.equal(*flat)


@contextmanager
def _no_parametrization_cache() -> Generator[None]:
    from torch.nn.utils import parametrize

    before = parametrize._cache_enabled, parametrize._cache
    parametrize._cache_enabled, parametrize._cache = 0, {}
    try:
        yield
    finally:
        parametrize._cache_enabled, parametrize._cache = before
