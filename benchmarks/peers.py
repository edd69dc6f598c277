"""Other ways to see every activation: the peers that recording.py compares huelapse with.

Each is given the same task: one forward in evaluation mode, then the mean of every leaf's output over
positions, summed per true class in float32 (`ClassMeans`). TensorBoard gets what it is for: a histogram
of every output. A peer that is not installed is named so; requirements-peers.txt says how.
"""

import copy
import importlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

Step = Callable[[Tensor, Tensor], None]
"""Takes a batch's images and labels."""


class NotInstalledError(Exception):
    """A peer is absent."""


def imported(name: str) -> Any:
    """The module `name`; a broken install is not an absent one."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != name.partition(".")[0]:
            raise
        raise NotInstalledError(name) from error


def leaves(model: nn.Module) -> dict[str, nn.Module]:
    return {p: m for p, m in model.named_modules() if p and not any(True for _ in m.children())}


def tensor_of(output: Any) -> Tensor:
    return output[0] if isinstance(output, tuple | list) else output


def responses(output: Tensor) -> Tensor:
    """[sample, unit]: means over positions of [sample, channel, y, x] or [sample, token, unit]."""
    if output.ndim == 3:
        return output.mean(1)
    return output.mean((2, 3)) if output.ndim == 4 else output


class ClassMeans:
    """Sums of responses per true class: the one grouping's mean that the peers are used for."""

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.sums: dict[str, Tensor] = {}
        self.held_bytes = 0
        """Of the activations that were alive together at the end of a forward."""

    def add(self, outputs: Mapping[str, Any], labels: Tensor) -> None:
        tensors = {path: tensor_of(output) for path, output in outputs.items()}
        self.held_bytes = sum(t.nbytes for t in tensors.values())
        for path, output in tensors.items():
            found = responses(output.detach())
            if path not in self.sums:
                self.sums[path] = torch.zeros(self.classes, found.shape[1])
            self.sums[path].index_add_(0, labels, found)


def naive_copy(model: nn.Module, paths: Sequence[str], means: ClassMeans) -> Step:
    """Every activation copied to numpy in a hook; grouped by class when the pass is over."""
    modules = leaves(model)

    def step(images: Tensor, labels: Tensor) -> None:
        kept: dict[str, np.ndarray] = {}

        def hook(path: str) -> Callable[..., None]:
            def keep(_module: nn.Module, _inputs: Any, output: Any) -> None:
                kept[path] = tensor_of(output).detach().cpu().numpy().copy()

            return keep

        handles = [modules[path].register_forward_hook(hook(path)) for path in paths]
        model(images)
        for handle in handles:
            handle.remove()
        means.held_bytes = sum(a.nbytes for a in kept.values())
        host = labels.numpy()
        for path, array in kept.items():
            axes = (1,) if array.ndim == 3 else tuple(range(2, array.ndim))
            found = array.mean(axes) if axes else array
            sums = means.sums.setdefault(path, torch.zeros(means.classes, found.shape[1]))
            np.add.at(sums.numpy(), host, found)

    return step


def captum(model: nn.Module, paths: Sequence[str], means: ClassMeans) -> Step:
    """LayerActivation over all leaves at once."""
    modules = leaves(model)
    layers = imported("captum.attr").LayerActivation(model, [modules[path] for path in paths])

    def step(images: Tensor, labels: Tensor) -> None:
        means.add(dict(zip(paths, layers.attribute(images), strict=True)), labels)

    return step


def nnsight(model: nn.Module, paths: Sequence[str], means: ClassMeans) -> Step:
    """One trace that saves every leaf's output."""
    traced = imported("nnsight").NNsight(model)
    envoys = {path: traced.get(path) for path in paths}

    def step(images: Tensor, labels: Tensor) -> None:
        with traced.trace(images):
            saved = {}.save()
            for path, envoy in envoys.items():
                saved[path] = envoy.output
        means.add(saved, labels)

    return step


def intermediate_layer_getter(model: nn.Module, paths: Sequence[str], means: ClassMeans) -> Step:
    """torch-intermediate-layer-getter's wrapper."""
    module = imported("torch_intermediate_layer_getter")
    getter = module.IntermediateLayerGetter(model, {path: path for path in paths})

    def step(images: Tensor, labels: Tensor) -> None:
        means.add(getter(images)[0], labels)

    return step


def torchextractor(model: nn.Module, paths: Sequence[str], means: ClassMeans) -> Step:
    """torchextractor's wrapper."""
    # on a copy of the model, as its hooks stay on for good
    extractor = imported("torchextractor").Extractor(copy.deepcopy(model), list(paths))

    def step(images: Tensor, labels: Tensor) -> None:
        means.add(extractor(images)[1], labels)

    return step


def tensorboard(model: nn.Module, paths: Sequence[str], means: ClassMeans) -> Step:
    """SummaryWriter.add_histogram of every leaf's output."""
    imported("tensorboard")
    modules = leaves(model)
    writer = imported("torch.utils.tensorboard").SummaryWriter(tempfile.mkdtemp())
    steps = 0

    def step(images: Tensor, _labels: Tensor) -> None:
        nonlocal steps
        steps += 1

        def hook(path: str) -> Callable[..., None]:
            def show(_module: nn.Module, _inputs: Any, output: Any) -> None:
                writer.add_histogram(path, tensor_of(output), steps)

            return show

        handles = [modules[path].register_forward_hook(hook(path)) for path in paths]
        model(images)
        for handle in handles:
            handle.remove()
        means.held_bytes = 0

    return step


PEERS: dict[str, Callable[[nn.Module, Sequence[str], ClassMeans], Step]] = {
    "naive_copy": naive_copy,
    "captum": captum,
    "nnsight": nnsight,
    "intermediate_layer_getter": intermediate_layer_getter,
    "torchextractor": torchextractor,
    "tensorboard_histograms": tensorboard,
}
"""Name → makes its step for a model, the paths of its leaves and where class sums go."""
