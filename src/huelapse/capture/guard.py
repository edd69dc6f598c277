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


STRUCTURE = {"_parameters", "_modules", "_buffers"}
"""Entries of a module's `__dict__` that are put back on their own, or never changed by a forward."""


@contextmanager
def same_model(model: nn.Module) -> Generator[None]:
    """Put back what a forward can change: modes, buffers (bit for bit), gradients, attributes.

    Inside, all modules are in eval mode, no gradient is recorded, autocast is off (its cache may
    hold weights from before the last update) and compiled code runs eagerly. Attributes of modules
    are put back as references: what a forward changes *inside* a list or dict of its own stays.
    """
    modules = list(model.modules())
    attributes = [
        {k: v for k, v in module.__dict__.items() if k not in STRUCTURE} for module in modules
    ]
    buffers = [dict(module._buffers) for module in modules]
    temporary = [set(module._non_persistent_buffers_set) for module in modules]
    contents = {
        buffer: buffer.detach().clone()
        for own in buffers
        for buffer in own.values()
        if buffer is not None
    }
    gradients = [(parameter, parameter.grad) for parameter in model.parameters()]
    devices = {t.device.type for t in (*model.parameters(), *contents)} | {"cpu"}
    try:
        for module in modules:
            module.training = False
        with ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            for device in devices & {"cpu", "cuda", "mps", "xpu"}:
                stack.enter_context(torch.autocast(device, enabled=False))
            if "torch._dynamo" in sys.modules:  # else nothing can be compiled
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            yield
    finally:
        for module, before, own, names in zip(modules, attributes, buffers, temporary, strict=True):
            for name in module.__dict__.keys() - before.keys() - STRUCTURE:
                del module.__dict__[name]
            module.__dict__.update(before)
            module._buffers.clear()
            module._buffers.update(own)
            module._non_persistent_buffers_set.clear()
            module._non_persistent_buffers_set.update(names)
        for parameter, gradient in gradients:
            if parameter.grad is not gradient:
                parameter.grad = gradient
        with torch.no_grad():
            for buffer, content in contents.items():
                # only where it differs: writing would break a graph that has saved the buffer
                if not _same_bits(buffer, content):
                    buffer.copy_(content)


def _same_bits(a: torch.Tensor, b: torch.Tensor) -> bool:
    if a.layout != torch.strided:
        return torch.equal(a, b)
    flat = [t.detach().contiguous().reshape(-1).view(torch.uint8) for t in (a, b)]
    return torch.equal(*flat)
