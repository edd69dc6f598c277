"""A model and what is recorded of it: tracing it, and running a probe through it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from itertools import chain
from typing import Any, Protocol, get_args

import numpy as np
import torch
from torch import Tensor, nn

from huelapse.capture.assigning import Assigning, Rows, Rule
from huelapse.capture.forward import Forward
from huelapse.capture.graph import trace_graph
from huelapse.capture.layers import Found, Tracer
from huelapse.capture.optional import Optional, Wanted
from huelapse.capture.probe import SameSamples
from huelapse.capture.ranks import alone
from huelapse.capture.responses import Response, Tokens, logits_of
from huelapse.capture.selecting import Selection, select
from huelapse.capture.watch import seen_only_by
from huelapse.capture.weights import FirstWeighted
from huelapse.capture.wrapped import refuse_wrapped, unwrapped
from huelapse.errors import HuelapseError, LayerError
from huelapse.schema import Layer, total_units

Groupings = Mapping[str, tuple[Sequence[str] | int, Rule]]


class Observer(Protocol):
    """Something else that is kept of forwards, besides per-class sums."""

    def layer(self, index: int, output: Tensor) -> None:
        """A layer has run: its output, samples first. Must keep no reference to it."""
        ...

    def samples(self, forward: Forward, rows: Rows) -> None:
        """The same forward has ended, and the class of each of its samples is known."""
        ...


class Capture:
    """A model and what is recorded of it."""

    def __init__(
        self,
        model: nn.Module,
        *,
        classes: int,
        selection: Selection | None = None,
        response: Response | Sequence[Response] = "mean",
        tokens: Tokens = "mean",
        groupings: Groupings | None = None,
        multilabel: bool = False,
        ignore_index: int = -100,
    ) -> None:
        """
        Args:
            model: any module whose forward gives [sample, class].
            classes: K.
            selection: which layers, and how they are read.
            response: what a unit's response is: the mean over its positions, the peak, or both.
            tokens: which tokens of [sample, token, unit] it is taken over.
            groupings: the user's own: name → (class names, rule).
            multilabel: a sample counts in each of its classes.
            ignore_index: the label of samples that count as predicted alone.

        Raises:
            LayerError: the model is wrapped in what hooks cannot follow.
            GroupingError: a grouping that cannot be.
        """
        refuse_wrapped(model)
        self.wrapped = model
        self.model = unwrapped(model)
        self.classes = classes
        self.responses = _check_responses(response)
        if tokens not in ("mean", "class", "last"):
            raise LayerError(f'tokens is {tokens!r}, expected "mean", "class" or "last"')
        self.tokens: Tokens = tokens
        self.multilabel = multilabel
        self.observers: list[Observer] = []
        self.optional: Optional | None = None
        """What else is kept of the probe."""
        self.when_traced: Callable[[], None] | None = None
        """Called once the layer table is known, before anything is recorded."""
        self.batch = 0
        """Samples of the forward that was traced."""
        self.alone: object = None
        """The pass that alone may see forwards now: a probe inside of a window's block."""
        self.around: Callable[[], AbstractContextManager[Any]] = nullcontext
        """Entered around each forward of a probe: autocast, for one."""
        self._selection = selection or Selection()
        self._groupings = dict(groupings or {})
        self._ignore_index = ignore_index
        self._found: Found | None = None
        self._copies: dict[int, Capture] = {}
        self.groupings = self.assigning().own
        """The user's own groupings."""

    def keep(self, wanted: Wanted, probe: SameSamples) -> None:
        """Keep this of the probe at each snapshot, beside its statistics."""
        self.optional = Optional(wanted, probe, self.responses[0])

    def assigning(self) -> Assigning:
        """A new reading of labels, with no doubts yet."""
        return Assigning(
            self.classes,
            self._groupings,
            multilabel=self.multilabel,
            ignore_index=self._ignore_index,
        )

    def of_copy(self, model: nn.Module) -> "Capture":
        """The same for another copy of the model, such as an average of its weights.

        Raises:
            LayerError: `model` is not a copy: it has other modules.
        """
        known = self._copies.get(id(model))
        if known is not None and known.wrapped is model:
            return known
        copy = Capture(
            model,
            classes=self.classes,
            selection=self._selection,
            response=self.responses,
            tokens=self.tokens,
            groupings=self._groupings,
            multilabel=self.multilabel,
            ignore_index=self._ignore_index,
        )
        inner = getattr(copy.model, "module", None)  # torch.optim.swa_utils.AveragedModel
        if isinstance(inner, type(self.model)):
            copy.model = inner
        here, there = (
            [(path, type(module)) for path, module in m.named_modules()]
            for m in (self.model, copy.model)
        )
        if here != there:
            raise LayerError(
                f"{type(model).__name__} is no copy of {type(self.model).__name__}: its modules "
                f"differ; give a deepcopy with averaged weights, or AveragedModel"
            )
        copy._found, copy.optional = self.found, self.optional
        self._copies[id(model)] = copy
        return copy

    def leave_out_layer(self, path: str) -> None:
        """Record this layer no more."""
        found = self.found
        kept = [i for i, layer in enumerate(found.layers) if layer.path != path]
        layers: list[Layer] = []
        for i in kept:
            layers.append(replace(found.layers[i], offset=total_units(layers)))
        self._found = replace(
            found,
            layers=tuple(layers),
            places=tuple(found.places[i] for i in kept),
            parts=tuple(found.parts[i] for i in kept),
        )

    def leave_out_groupings(self, names: Sequence[str]) -> None:
        """Record these of the user's groupings no more."""
        for name in names:
            del self._groupings[name]
        self.groupings = self.assigning().own

    @property
    def found(self) -> Found:
        if self._found is None:
            raise LayerError("the model has not been traced yet")
        return self._found

    @property
    def traced(self) -> bool:
        return self._found is not None

    @property
    def layers(self) -> tuple[Layer, ...]:
        return self.found.layers

    @property
    def units(self) -> int:
        return total_units(self.found.layers)

    @property
    def device(self) -> torch.device:
        for tensor in chain(self.model.parameters(), self.model.buffers()):  # lists would cost
            return tensor.device
        return torch.device("cpu")

    @property
    def compiled(self) -> bool:
        """Whether torch.compile stands between the user's calls and a module's hooks."""
        return any(
            hasattr(module, "_orig_mod") or getattr(module, "_compiled_call_impl", None) is not None
            for module in (self.wrapped, *self.model.modules())
        )

    def check_ready(self) -> None:
        """
        Raises:
            LayerError: the model has parameters that are not there yet.
        """
        parameters = list(self.model.parameters())
        if parameters and all(parameter.is_meta for parameter in parameters):
            raise LayerError(
                "the model is on the meta device, where weights have shapes but no values; give "
                "them a device (model.to_empty(device=…) and load_state_dict) before you make the "
                "recorder"
            )
        for tensor in (*self.model.parameters(), *self.model.buffers()):
            if nn.parameter.is_lazy(tensor):
                raise LayerError(
                    "the model has parameters without a shape yet; run one batch through it "
                    "before you make the recorder"
                )

    def trace(self, forward: Callable[[], Any], *, gently: bool = False) -> None:
        """The layer table follows from what `forward` runs. Raises as `Tracer.select`.

        Args:
            forward: one forward of the model; may be called twice.
            gently: as in `Tracer`: for a forward of the user's own evaluation.
        """
        try:
            # with gradients, so that the output knows which operation made it; nothing is saved
            nothing = torch.autograd.graph.saved_tensors_hooks(
                lambda _: None, lambda _: torch.empty(0)
            )
            with (
                alone(self.model),
                Tracer(self.model, gently=gently) as tracer,
                seen_only_by(tracer),
                torch.enable_grad(),
                nothing,
            ):
                output = forward()
        except HuelapseError:
            raise
        except Exception:  # a forward that runs without gradients alone
            tracer = Tracer(self.model, gently=gently)
            with alone(self.model), tracer, seen_only_by(tracer), torch.no_grad():
                output = forward()
        # the same forward again, for where its tensors go; what this cannot follow, it says
        with alone(self.model), seen_only_by(self), FirstWeighted(self.model) as first:
            trace = trace_graph(self.model, forward)
        self._found = select(tracer, trace, self._selection, self.classes, output)
        if self.optional is not None:
            self.optional.first_path = first.path
        logits = logits_of(output)
        self.batch = len(logits) if logits.ndim else 1
        if self.when_traced is not None:
            self.when_traced()

    def forward(self, inputs: Any) -> Any:
        """One forward of a batch's inputs: a tensor, or a tuple or dict of arguments."""
        if isinstance(inputs, Mapping):
            return self.model(**inputs)
        if isinstance(inputs, tuple | list):
            return self.model(*inputs)
        return self.model(inputs)

    def nothing_ran(self) -> str:
        """Why there may be nothing to record."""
        if self.compiled:
            return (
                "hooks cannot see inside a compiled model: run the evaluation on the original "
                "module, or give Recorder a probe, which runs it eagerly by itself"
            )
        return (
            "the model did not run eagerly, so there is nothing to record: run the module that was "
            "given to Recorder, not a copy; where it was compiled (torch.compile) hooks cannot see "
            "inside, so give Recorder a probe, which runs it eagerly by itself"
        )

    def facts(self) -> dict[str, Any]:
        """What the model is, for the run's provenance."""
        return {
            "model": type(self.model).__name__,
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "output": self.found.output_kind if self.traced else None,
            "device": self.device.type,
            "versions": {"torch": torch.__version__, "numpy": np.__version__},
        }


def _check_responses(response: Any) -> tuple[Response, ...]:
    given: list[Any] = list(response) if isinstance(response, list | tuple) else [response]
    names: list[Response] = [name for name in get_args(Response) if name in given]
    if not given or len(names) < len(given):
        raise LayerError(f'response is {response!r}, expected "mean", "peak" or ("mean", "peak")')
    # in one order, whatever the user's: a run names the second one's arrays by it
    return tuple(names)
