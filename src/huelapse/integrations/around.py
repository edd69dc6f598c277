"""Around the forward of a module, from wherever it is called."""

# pyright: reportPrivateUsage=false
# which hooks a module has can be asked in no public way

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from typing import Any

from torch import nn

from huelapse.capture.watch import Hook, redirected, seen_by

Enter = Callable[[nn.Module, Mapping[str, Any]], AbstractContextManager[Any] | None]
"""From a module and its forward's keyword arguments to what shall stand around this forward."""


class Around:
    """Puts something around each forward of a module, wherever it is called from.

    So that `recorder.window(labels)` stands around the forward alone, as in a loop of one's own,
    though the forward is called in the middle of somebody's training step.
    """

    def __init__(self, module: nn.Module, enter: Enter) -> None:
        """
        Args:
            module: whose forwards.
            enter: asked before each of them; None leaves it alone.
        """
        self.seen = 0
        """Forwards that something stood around."""
        self._module = module
        self._enter = enter
        self._inside: ExitStack | None = None
        self._depth = 0
        self._failed = False
        self._handle = module.register_forward_pre_hook(Hook(self._begin), with_kwargs=True)

    def remove(self) -> None:
        """Leave the module alone from now on."""
        self._handle.remove()
        self._abandon()

    def _begin(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        # a probe's forwards are its own
        if not seen_by(self) or module is not self._module or redirected(module):
            return
        if self._failed:
            self._abandon()
        if self._inside is not None:  # the model calls itself: one forward
            self._depth += 1
            return
        around = self._enter(module, kwargs)
        if around is None:
            return
        before = set(module._forward_pre_hooks)
        inside = ExitStack()
        inside.enter_context(around)
        # registered last, so it runs after those that were put on the module in between
        handle = module.register_forward_hook(Hook(self._end), always_call=True)
        inside.callback(handle.remove)
        self._inside = inside
        self.seen += 1
        # torch has gathered this call's pre-hooks already: those that came since are called here
        for key, hook in list(module._forward_pre_hooks.items()):
            if key not in before:
                named = key in module._forward_pre_hooks_with_kwargs
                hook(module, args, kwargs) if named else hook(module, args)

    def _end(self, module: nn.Module, _inputs: Any, output: Any) -> None:
        if module is not self._module or not seen_by(self):
            return
        if self._depth:
            self._depth -= 1
        elif output is None:
            # the forward has raised, and torch is going through the very hooks that leaving would
            # remove; the next forward, or `remove`, leaves
            self._failed = True
        elif self._inside is not None:
            inside, self._inside = self._inside, None
            inside.close()

    def _abandon(self) -> None:
        """Leave what stood around a forward that never came to its end."""
        inside, self._inside = self._inside, None
        self._depth, self._failed = 0, False
        if inside is not None:
            error = RuntimeError("the forward did not end")
            inside.__exit__(type(error), error, None)
