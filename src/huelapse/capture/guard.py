"""Leaving no trace: whatever runs inside, the model and every random generator are as before."""

import random
from collections.abc import Generator
from contextlib import contextmanager

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
def same_model(model: nn.Module) -> Generator[None]:
    """Put back each module's own train/eval flag and every buffer, bit for bit.

    Inside, all modules are in eval mode and no gradient is recorded.
    """
    modes = [(module, module.training) for module in model.modules()]
    buffers = [
        (module, name, buffer, buffer.detach().clone())
        for module in model.modules()
        for name, buffer in module._buffers.items()  # pyright: ignore[reportPrivateUsage]
        if buffer is not None
    ]
    try:
        for module, _ in modes:
            module.training = False
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode
        with torch.no_grad():
            for module, name, buffer, before in buffers:
                module._buffers[name] = buffer  # pyright: ignore[reportPrivateUsage]
                if not torch.equal(buffer, before):
                    buffer.copy_(before)
