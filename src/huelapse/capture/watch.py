"""Seeing what a forward gives: outputs of modules, and of activation functions called inside them."""

# pyright: reportPrivateUsage=false
# what tells a backward's recomputation from a forward has no public name

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.overrides import TorchFunctionMode

NON_NEGATIVE = (
    nn.ReLU,
    nn.ReLU6,
    nn.Sigmoid,
    nn.Hardsigmoid,
    nn.Softplus,
)
"""Activation modules whose responses cannot be below 0."""

ACTIVATIONS = (
    *NON_NEGATIVE,
    nn.CELU,
    nn.ELU,
    nn.GELU,
    nn.GLU,
    nn.Hardshrink,
    nn.Hardswish,
    nn.Hardtanh,
    nn.LeakyReLU,
    nn.LogSigmoid,
    nn.Mish,
    nn.PReLU,
    nn.RReLU,
    nn.SELU,
    nn.SiLU,
    nn.Softshrink,
    nn.Softsign,
    nn.Tanh,
    nn.Tanhshrink,
    nn.Threshold,
)

NON_NEGATIVE_FUNCTIONS = {"relu", "relu6", "sigmoid", "hardsigmoid", "softplus"}

_NAMES = (
    *NON_NEGATIVE_FUNCTIONS,
    *("celu", "elu", "gelu", "glu", "hardshrink", "hardswish", "hardtanh", "leaky_relu"),
    *("logsigmoid", "mish", "prelu", "rrelu", "selu", "silu", "softshrink", "softsign"),
    *("tanh", "tanhshrink", "threshold"),
)

FUNCTIONS: dict[Any, str] = {
    function: name
    for name in _NAMES
    for home in (F, torch, Tensor)
    for spelled in (name, f"{name}_")  # the latter change their input in place
    if callable(function := getattr(home, spelled, None))
}
"""Every spelling of an activation function → its name."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an output comes from: a module's path, or path and name of a function called in it."""

    path: str
    call: int
    """How many times it had been reached before in the same forward."""
    function: str | None = None


def hookable(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """(path, module) of the model and its parts, but for those that take no hooks."""
    named: list[tuple[str, nn.Module]] = list(model.named_modules())
    return [(path, m) for path, m in named if not isinstance(m, torch.jit.ScriptModule)]


def forward_proper() -> bool:
    """Whether what runs is a forward: not recomputed in a backward, and not being compiled.

    What torch.compile would take into its code would go on running there after the hooks are gone.
    """
    return not torch.compiler.is_compiling() and torch._C._current_graph_task_id() == -1


class Watch:
    """While entered, calls `on_output(place, module, output)` for what forwards of a model give.

    A function is seen only inside the model's forward, and not inside an activation module: an
    `nn.ReLU` is counted once. `module` is None for functions.
    """

    def __init__(
        self,
        model: nn.Module,
        on_output: Callable[[Place, nn.Module | None, Any], None],
        *,
        modules: Iterable[tuple[str, nn.Module]],
        functions: bool,
    ) -> None:
        """
        Args:
            model: whose forwards.
            on_output: must not raise into the forward unless that is wanted.
            modules: (path, module) of those to watch.
            functions: whether activation functions are watched too; this costs a little of every
                torch call, and turns off fused fast paths.
        """
        self._model = model
        self._on_output = on_output
        self._modules = list(modules)
        self._mode = _Mode(self) if functions else None
        self._inside: list[tuple[str, nn.Module]] = []
        self._depth = 0
        self._mode_on = False
        self._calls: Counter[tuple[str, str | None]] = Counter()
        self._handles: list[Any] = []

    def __enter__(self) -> "Watch":
        try:
            self._attach()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _attach(self) -> None:
        keep = self._handles.append
        keep(self._model.register_forward_pre_hook(self._begin))
        if self._mode is not None:
            for path, module in hookable(self._model)[1:]:
                keep(module.register_forward_pre_hook(self._step_in(path)))
                keep(module.register_forward_hook(self._step_out, always_call=True))
        for path, module in self._modules:
            keep(module.register_forward_hook(self._module_hook(path, module)))
        keep(self._model.register_forward_hook(self._end, always_call=True))

    def __exit__(self, *_: Any) -> None:
        self._leave_mode()
        self._depth = 0
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def begin(self) -> None:
        """A forward starts: calls are counted anew. For those who do not call the model itself.

        The function mode is on inside forwards alone, so that it nests with modes of the user's.
        """
        self._depth += 1
        if self._depth > 1:  # the model calls itself
            return
        self._calls.clear()
        self._inside = [("", self._model)]
        if self._mode is not None and not self._mode_on:
            self._mode.__enter__()
            self._mode_on = True

    def _begin(self, module: nn.Module, *_: Any) -> None:
        if forward_proper() and module is self._model:
            self.begin()

    def _end(self, module: nn.Module, *_: Any) -> None:
        if not forward_proper() or module is not self._model:
            return
        self._depth = max(0, self._depth - 1)
        if self._depth == 0:
            self._leave_mode()
            self._inside = []

    def _leave_mode(self) -> None:
        if self._mode is not None and self._mode_on:
            self._mode_on = False
            self._mode.__exit__(None, None, None)

    def _step_in(self, path: str) -> Callable[[nn.Module, Any], None]:
        def hook(module: nn.Module, _inputs: Any) -> None:
            self._inside.append((path, module))

        return hook

    def _step_out(self, module: nn.Module, _inputs: Any, _output: Any) -> None:
        if any(inner is module for _, inner in self._inside):
            while self._inside.pop()[1] is not module:
                pass

    def _module_hook(self, path: str, own: nn.Module) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, _inputs: Any, output: Any) -> None:
            if not forward_proper() or module is not own:
                return
            if self._depth:  # a part of the model that is called on its own is not a forward of it
                self._on_output(Place(path, self._count(path, None)), module, output)

        return hook

    def function(self, name: str, output: Any) -> None:
        """An activation function has run."""
        if not self._inside or isinstance(self._inside[-1][1], ACTIVATIONS):
            return
        if not forward_proper():
            return
        path = self._inside[-1][0]
        self._on_output(Place(path, self._count(path, name), name), None, output)

    def _count(self, path: str, function: str | None) -> int:
        before = self._calls[path, function]
        self._calls[path, function] += 1
        return before


class _Mode(TorchFunctionMode):
    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        name = FUNCTIONS.get(func)
        if name is not None:
            self._watch.function(name, output)
        return output
