"""What a replay is asked to do, as plain values that another process or machine can be given."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from huelapse.errors import ReplayError
from huelapse.replaying.named import Named, name_of

ALL = "all"
PROBE = "probe"
PRECISIONS = ("bfloat16", "float16")
KINDS = ("factory", "given", "npz", "folder")


@dataclass(frozen=True, kw_only=True)
class Data:
    """Where samples come from."""

    kind: str
    """One of "factory" (a function that gives them), "given" (as they are, to this process alone),
    "npz", "folder" (of images, a folder for each class)."""
    source: Any
    """The function or its name; the samples; or a path."""
    arrays: tuple[str, str] | None = None
    """Names of inputs and labels in the npz; None for the usual ones."""
    image_size: int | None = None
    """Images are resized to it on their shorter side, and their middle is cut out."""
    mean: tuple[float, ...] | None = None
    """With `std`, of each channel of images from 0 to 1: they are normalized so."""
    std: tuple[float, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Everything that the numbers of a replay depend on, beside the checkpoint and which part it is.

    Names are those of `huelapse.Recorder`; functions may be given by name.
    """

    model: Named
    data: Data
    split: str = "val"
    classes: Sequence[str] | int | None = None
    samples: int | str = ALL
    """"all"; "probe" for the recorder's own choice; or at most so many, balanced."""
    batch: int | None = None
    """Samples of a forward; None for the loader's own, or 128."""
    parts: int = 1
    """Into how many parts the samples are divided, each a task of its own."""
    label_fn: Named | None = None
    layers: Any = None
    unit_axis: Mapping[str, int] = field(default_factory=dict[str, int])
    response: str | Sequence[str] = "mean"
    tokens: str = "mean"
    output: str | None = None
    superclasses: Any = None
    """Of the classes, as a dict or a list."""
    groupings: Mapping[str, tuple[Sequence[str] | int, Any]] | Named | None = None
    multilabel: bool = False
    ignore_index: int = -100
    keep_responses: str | bool | int = "auto"
    maps: bool | Sequence[str] = False
    watch: int | Sequence[int] = 0
    first_weights: bool = False
    thumbnails: bool | tuple[Any, Any] = False
    key: str | None = None
    """Where weights stand in a checkpoint."""
    nonfinite: bool = False
    """Whether weights that are NaN or infinite are replayed too."""
    max_bytes: int | None = None
    """The most memory that what is recorded may take; see `ReplayForecast.recorded_bytes`."""
    device: str = "auto"
    autocast: str | None = None
    channels_last: bool = False
    inference_mode: bool = False

    # --- for other processes ---------------------------------------------------------------------

    def as_json(self) -> dict[str, Any]:
        """Plain values, functions by name.

        Raises:
            ReplayError: something that only this process has.
        """
        told = {one.name: getattr(self, one.name) for one in fields(self)}
        told["data"] = {one.name: getattr(self.data, one.name) for one in fields(self.data)}
        plain = {name: _plain(value, name) for name, value in told.items()}
        if self.data.kind == "given":
            raise ReplayError(
                "the data are given as they are, which other processes cannot be handed: give a "
                "function that makes them, data='package.module:function', or use one worker"
            )
        return plain

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "Asked":
        known = {one.name: told[one.name] for one in fields(cls)}
        known["data"] = Data(**{k: _as_tuple(v) for k, v in told["data"].items()})
        if isinstance(known["groupings"], dict):
            known["groupings"] = {k: tuple(v) for k, v in known["groupings"].items()}
        if isinstance(known["thumbnails"], list):
            known["thumbnails"] = tuple(known["thumbnails"])
        return cls(**known)

    # --- what it is --------------------------------------------------------------------------------

    def identity(self) -> dict[str, Any]:
        """What tells it from others that ask for other numbers: the same in every process."""
        told = {one.name: getattr(self, one.name) for one in fields(self)}
        data = {one.name: getattr(self.data, one.name) for one in fields(self.data)}
        if self.data.kind == "given":
            data["source"] = type(self.data.source).__name__
        told["data"] = data
        del told["keep_responses"]  # "auto" is settled by what the run has
        if self.superclasses is None:
            del told["superclasses"]
        del told["device"]  # a replay may go on elsewhere: numbers agree up to rounding
        return {name: _named(value) for name, value in told.items()}

    @property
    def digest(self) -> str:
        """Of all that, short."""
        text = json.dumps(self.identity(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def difference(self, other: Mapping[str, Any]) -> str | None:
        """The first thing in which another identity is not this one's."""
        ours = json.loads(json.dumps(self.identity()))
        for name in {**ours, **other}:
            if other.get(name) != ours.get(name):
                return f"{name} was {_short(other.get(name))}, and is {_short(ours.get(name))} now"
        return None


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _short(value: Any) -> str:
    return json.dumps(value)[:80]


def _plain(value: Any, what: str) -> Any:
    if callable(value):
        name = name_of(value)
        if name is None:
            raise ReplayError(
                f"{what} is a function that other processes cannot find (it stands inside another "
                f"function, is a lambda, or was typed at a prompt): put it into a module, or use one "
                f"worker"
            )
        return name
    if isinstance(value, Mapping):
        return {str(k): _plain(v, what) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v, what) for v in value]
    if hasattr(value, "tolist"):  # arrays of a grouping's rule
        return value.tolist()
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if hasattr(value, "__fspath__"):
        return str(value)
    raise ReplayError(f"{what} is {type(value).__name__}, which other processes cannot be handed")


def _named(value: Any) -> Any:
    """The same, and functions that nobody else can find by what they are called."""
    if callable(value):
        return name_of(value) or f"<{getattr(value, '__qualname__', type(value).__name__)}>"
    if isinstance(value, Mapping):
        return {str(k): _named(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_named(v) for v in value]
    if hasattr(value, "tolist"):
        return value.tolist()
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value) if hasattr(value, "__fspath__") else repr(type(value))
