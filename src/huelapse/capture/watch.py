"""Seeing what a forward gives: outputs of modules, and of activation functions called inside them."""

# pyright: reportPrivateUsage=false
# what tells a backward's recomputation from a forward has no public name

import gc
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, nullcontext
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

JOIN = "add"
"""Name of an addition, among those of functions."""

FUNCTIONS: dict[Any, str] = {
    function: name
    for name in _NAMES
    for home in (F, torch, Tensor)
    for spelled in (name, f"{name}_")  # the latter change their input in place
    if callable(function := getattr(home, spelled, None))
}
"""Every spelling of an activation function → its name."""


PlaceKey = tuple[str, str | None, int | None]
"""A place but for the call: path, function, positional argument."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an output comes from: a module's path, or path and name of a function called in it."""

    path: str
    call: int
    """How many times it had been reached before in the same forward."""
    function: str | None = None
    given: int | None = None
    """Which positional argument of the module is meant, where it is not what the module gives."""

    @property
    def key(self) -> PlaceKey:
        """The same without the call: what calls are counted by."""
        return self.path, self.function, self.given


def hookable(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """(path, module) of the model and its parts, but for those that take no hooks."""
    named: list[tuple[str, nn.Module]] = list(model.named_modules())
    return [(path, m) for path, m in named if not isinstance(m, torch.jit.ScriptModule)]


def forward_proper() -> bool:
    """Whether what runs is a forward: not recomputed in a backward, and not being compiled.

    What torch.compile would take into its code would go on running there after the hooks are gone.
    """
    return not torch.compiler.is_compiling() and torch._C._current_graph_task_id() == -1


class _Now(threading.local):
    only: object = None
    """Who alone sees what forwards give."""


_now = _Now()


@contextmanager
def seen_only_by(one: object) -> Generator[None]:
    """Forwards are for `one` alone, whoever else's hooks are on the model: a trace, a probe."""
    before, _now.only = _now.only, one
    try:
        yield
    finally:
        _now.only = before


def seen_by(one: object) -> bool:
    """Whether what runs now is a forward, and one for `one` to see."""
    return forward_proper() and (_now.only is None or _now.only is one)


def redirected(module: nn.Module) -> bool:
    """Whether a call of the module is a detour that is no forward of it.

    To get through the wrapper of a distributed training, Lightning calls its module with
    `training_step` or `validation_step` in the place of `forward`; the forward comes inside of that.
    """
    own = module.__dict__.get("forward")
    return getattr(own, "__qualname__", "").startswith("_ForwardRedirection.")


class Hook:
    """A hook that copies of the module, and pickles of it, do not take along.

    What they get in its place does nothing, and needs no huelapse to be loaded.
    """

    copied = False
    """Whether a copy was made that `clear_copies` has not looked at."""

    def __init__(
        self,
        call: Callable[..., None],
        *own: Any,
        failed: Callable[[Exception], None] | None = None,
    ) -> None:
        """
        Args:
            call: called with `own`, and then with what a hook is given.
            failed: told of what `call` raises, which then does not reach the forward.
        """
        self._call = call
        self._own = own
        self._failed = failed

    def __call__(self, *args: Any) -> None:
        try:
            self._call(*self._own, *args)
        except Exception as error:
            if self._failed is None:
                raise
            self._failed(error)

    def __deepcopy__(self, _memo: Any) -> Any:
        Hook.copied = True
        return _inert

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (nullcontext(), "__exit__")


_inert: Any = nullcontext().__exit__
"""In the place of a hook in copies of a module."""


def clear_copies() -> None:
    """Take what stands in the place of hooks out of copies that were made while hooks were on."""
    if not Hook.copied:
        return
    Hook.copied = False
    for one in gc.get_objects():
        if issubclass(type(one), nn.Module) and "_forward_hooks" in one.__dict__:
            for hooks in (one._forward_hooks, one._forward_pre_hooks):
                for key in [key for key, hook in hooks.items() if hook == _inert]:
                    del hooks[key]
                    one._forward_hooks_always_called.pop(key, None)
                    one._forward_pre_hooks_with_kwargs.pop(key, None)


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
        given: Iterable[tuple[str, nn.Module, int]] = (),
        is_join: Callable[[Any, Any, Any], bool] | None = None,
        owner: object = None,
        failed: Callable[[Exception], None] | None = None,
    ) -> None:
        """
        Args:
            model: whose forwards.
            on_output: must not raise into the forward unless that is wanted.
            modules: (path, module) of those to watch.
            given: (path, module, position) of those whose positional arguments are watched.
            is_join: whether a call (function, arguments, named ones) is an addition to be told of
                as a function `add`; only with `functions`.
            functions: whether activation functions are watched too; this costs a little of every
                torch call, and turns off fused fast paths.
            owner: who watches, for `seen_only_by`.
            failed: told of what goes wrong in here, which then does not reach the forward.
        """
        self._model = model
        self._on_output = on_output
        self._modules = list(modules)
        self._given = list(given)
        self._owner = owner
        self._failed = failed
        self._mode = _Mode(self, is_join) if functions else None
        self._without: list[Any] = []
        self._inside: list[tuple[str, nn.Module]] = []
        self._depth = 0
        self._mode_on = False
        self._calls: Counter[PlaceKey] = Counter()
        self.handles: list[Any] = []
        """Of all hooks, while entered."""

    def changes_fused(self, paths: Iterable[str]) -> list[str]:
        """Which of these modules would not run fused because of a hook inside or a mode."""
        if self._mode is not None:
            return list(paths)
        hooked = [f"{path}." for path, *_ in (*self._modules, *self._given)]
        return [path for path in paths if any(own.startswith(f"{path}.") for own in hooked)]

    def __enter__(self) -> "Watch":
        try:
            self._attach()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _attach(self) -> None:
        keep = self.handles.append
        keep(self._model.register_forward_pre_hook(self._hook(self._begin)))
        if self._mode is not None:
            for path, module in hookable(self._model)[1:]:
                keep(module.register_forward_pre_hook(self._hook(self._step_in, path)))
                keep(module.register_forward_hook(self._hook(self._step_out), always_call=True))
        for path, module in self._modules:
            keep(module.register_forward_hook(self._hook(self._gave, path, module)))
        for path, module, at in self._given:
            keep(module.register_forward_pre_hook(self._hook(self._was_given, path, module, at)))
        keep(self._model.register_forward_hook(self._hook(self._end), always_call=True))

    def _hook(self, call: Callable[..., None], *own: Any) -> Hook:
        return Hook(call, *own, failed=self._failed)

    def __exit__(self, *_: Any) -> None:
        self._leave_mode()
        self._depth = 0
        for handle in self.handles:
            handle.remove()
        self.handles.clear()

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
        # torch still calls a hook that was taken away by the one before
        if not self.handles or module is not self._model:
            return
        if seen_by(self._owner) and not redirected(module):
            self.begin()

    def _end(self, module: nn.Module, *_: Any) -> None:
        if not seen_by(self._owner) or module is not self._model or not self._depth:
            return
        self._depth -= 1
        if self._depth == 0:
            self._leave_mode()
            self._inside = []

    def _leave_mode(self) -> None:
        if self._mode is not None and self._mode_on:
            if _last_mode() is not None:
                self._mode.__exit__(None, None, None)
            self._mode_on = False
            self._without.clear()

    def _step_in(self, path: str, module: nn.Module, _inputs: Any) -> None:
        self._inside.append((path, module))
        if self._mode_on and isinstance(module, nn.MultiheadAttention):
            # its fused path is not taken under a mode, and gives other results in the last bits
            while (mode := _last_mode()) is not None:
                mode.__exit__(None, None, None)
                self._without.append(mode)

    def _step_out(self, module: nn.Module, _inputs: Any, _output: Any) -> None:
        while self._without and isinstance(module, nn.MultiheadAttention):
            self._without.pop().__enter__()
        if any(inner is module for _, inner in self._inside):
            while self._inside.pop()[1] is not module:
                pass

    def _gave(
        self, path: str, own: nn.Module, module: nn.Module, _inputs: Any, output: Any
    ) -> None:
        if not seen_by(self._owner) or module is not own:
            return
        if self._depth:  # a part of the model that is called on its own is not a forward of it
            self._on_output(Place(path, self._count((path, None, None))), module, output)

    def _was_given(
        self, path: str, own: nn.Module, position: int, module: nn.Module, inputs: Any
    ) -> None:
        if not seen_by(self._owner) or module is not own or not self._depth:
            return
        call = self._count((path, None, position))
        if len(inputs) > position:
            self._on_output(Place(path, call, given=position), module, inputs[position])

    def function(self, name: str, output: Any) -> None:
        """An activation function has run."""
        if not self._inside or isinstance(self._inside[-1][1], ACTIVATIONS):
            return
        if seen_by(self._owner):
            path = self._inside[-1][0]
            self._on_output(Place(path, self._count((path, name, None)), name), None, output)

    def fail(self, error: Exception) -> None:
        """Something went wrong in here, inside of a forward."""
        if self._failed is None:
            raise error
        self._failed(error)

    def _count(self, key: PlaceKey) -> int:
        before = self._calls[key]
        self._calls[key] += 1
        return before


def _last_mode() -> "_Mode | None":
    """The function mode that was entered last, if it is one of ours."""
    n = torch._C._len_torch_function_stack()
    last: Any = torch._C._get_function_stack_at(n - 1) if n else None
    return last if isinstance(last, _Mode) else None


class _Mode(TorchFunctionMode):
    def __init__(self, watch: Watch, is_join: Callable[[Any, Any, Any], bool] | None) -> None:
        super().__init__()
        self._watch = watch
        self._is_join = is_join

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        try:
            name = FUNCTIONS.get(func)
            if name is not None:
                self._watch.function(name, output)
            elif self._is_join is not None and self._is_join(func, args, kwargs or {}):
                self._watch.function(JOIN, output)
        except Exception as error:
            self._watch.fail(error)
        return output
