"""Finding a model's weights in what a checkpoint holds, by the model's own names, and loading them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from huelapse.errors import CheckpointError

USUAL = ("state_dict", "model_state_dict", "model_state", "model", "module", "net", "network")
"""Where weights usually stand; what also matches elsewhere (an average of them) is not meant."""
WRAPPERS = ("module", "_orig_mod")
"""Parts of names that DistributedDataParallel and torch.compile put in, anywhere."""
UNIMPORTANT = ("num_batches_tracked",)
"""Buffers that no evaluation reads."""
DEEP = 4
NAMED = 4
"""Names that are told of many."""


@dataclass(frozen=True, slots=True)
class Weights:
    """A state dict as the model names it."""

    tensors: Mapping[str, Tensor]
    key: str
    """Where it stood in the checkpoint; "" at its top."""
    prefix: str
    """What stood before each name."""


def find_weights(content: Any, model: nn.Module, key: str | None = None) -> Weights:
    """The weights of a model in what a checkpoint holds.

    Args:
        content: of the checkpoint, at most some mappings deep.
        model: whose weights.
        key: where they stand, dots between names; None to look for the place that fits.

    Raises:
        CheckpointError: nothing fits, what fits best differs, or several places fit.
    """
    if isinstance(content, nn.Module):
        raise CheckpointError("it holds a whole module, expected a state_dict")
    own = _own(model)
    places = list(_places(content)) if key is None else [(key, _at(content, key))]
    fits = [(where, fitted) for where, tensors in places if (fitted := _fit(tensors, own))]
    if not fits:
        raise CheckpointError(
            f"none of its tensors is named as one of the model ({_names(list(own))}); "
            + (f"it has {_names(list(places[0][1]))}" if places else "it holds no tensors by name")
        )
    whole = [(where, fit) for where, fit in fits if not fit.wrong]
    if len(whole) > 1:
        usual = [(w, f) for w, f in whole if w.rpartition(".")[2] in USUAL]
        if len(usual) != 1:
            told = ", ".join(repr(w or "its top") for w, _ in whole)
            raise CheckpointError(
                f"the model's weights stand in {len(whole)} places ({told}): say which are meant: "
                f"--key {whole[0][0] or '…'}"
            )
        whole = usual
    if not whole:
        where, best = max(fits, key=lambda one: one[1].same)
        place = f" (in {where!r})" if where else ""
        raise CheckpointError(f"it is of another model{place}: {'; '.join(best.wrong)}")
    where, fit = whole[0]
    return Weights(fit.tensors, where, fit.prefix)


def load(model: nn.Module, weights: Weights, *, nonfinite: bool = False) -> None:
    """Put weights into the model.

    Raises:
        CheckpointError: some are NaN or infinite, and `nonfinite` does not allow that; or the
            model refuses them.
    """
    if not nonfinite:
        bad = [
            name
            for name, tensor in weights.tensors.items()
            if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all())
        ]
        if bad:
            raise CheckpointError(
                f"{len(bad)} of {len(weights.tensors)} tensors hold NaN or infinity "
                f"({_names(bad)}): the training had diverged. --non-finite replays it all the same"
            )
    try:
        with torch.no_grad():
            model.load_state_dict(dict(weights.tensors), strict=False)
    except (RuntimeError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"the model refuses its weights: {str(error)[:300]}") from error


def said_inside(content: Any) -> Mapping[str, Any]:
    """What stands beside the tensors, at the top."""
    if not isinstance(content, Mapping):
        return {}
    return {str(k): v for k, v in content.items() if isinstance(v, int | float | str)}


# --- where they stand ----------------------------------------------------------------------------


def _at(content: Any, key: str) -> Mapping[str, Tensor]:
    found = content
    names = key.split(".")
    while names:  # names may hold dots themselves
        if not isinstance(found, Mapping):
            found = None
            break
        for n in range(len(names), 0, -1):
            name = ".".join(names[:n])
            if name in found:
                found, names = found[name], names[n:]
                break
        else:
            found = None
            break
    if not isinstance(found, Mapping):
        known = _names([str(k) for k in content]) if isinstance(content, Mapping) else "none"
        raise CheckpointError(f"it has nothing by name under {key!r}; at its top are {known}")
    return _tensors(found)


def _places(
    content: Any, where: str = "", depth: int = 0
) -> Iterator[tuple[str, dict[str, Tensor]]]:
    if not isinstance(content, Mapping) or depth > DEEP:
        return
    tensors = _tensors(content)
    if tensors:
        yield where, tensors
    for name, inside in content.items():
        if isinstance(name, str) and isinstance(inside, Mapping):
            yield from _places(inside, f"{where}.{name}" if where else name, depth + 1)


def _tensors(mapping: Mapping[Any, Any]) -> dict[str, Tensor]:
    return {k: v for k, v in mapping.items() if isinstance(k, str) and isinstance(v, Tensor)}


# --- whether they fit ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Fit:
    tensors: Mapping[str, Tensor]
    prefix: str
    wrong: tuple[str, ...]
    same: int


@dataclass(frozen=True, slots=True)
class _Own:
    """A tensor of the model."""

    shape: tuple[int, ...]
    shared: int
    """Where its memory begins: tied weights have it in common."""


def _own(model: nn.Module) -> dict[str, _Own]:
    found = model.state_dict(keep_vars=True)
    return {
        name: _Own(tuple(tensor.shape), tensor.data_ptr() if tensor.numel() else 0)
        for name, tensor in found.items()
        if isinstance(tensor, Tensor)
    }


def _fit(tensors: Mapping[str, Tensor], own: Mapping[str, _Own]) -> _Fit | None:
    """How well some tensors are the model's; None where not one is named so."""
    plain = _unwrapped(tensors, own)
    fits = [_with_prefix(plain, prefix, own) for prefix in _prefixes(plain, own)]
    fits = [fit for fit in fits if fit.same or not own]
    if not fits:
        return None
    whole = [fit for fit in fits if not fit.wrong]
    usual = [fit for fit in whole if fit.prefix.rstrip(".").rpartition(".")[2] in USUAL]
    if len(whole) > 1 and len(usual) == 1:  # an average of the weights stands beside them
        whole = usual
    if len(whole) > 1:
        told = ", ".join(repr(fit.prefix) for fit in whole[:NAMED])
        raise CheckpointError(
            f"it holds the model's weights several times, under the prefixes {told}: save those that "
            f"are meant alone"
        )
    return whole[0] if whole else max(fits, key=lambda fit: (fit.same, -len(fit.wrong)))


def _unwrapped(tensors: Mapping[str, Tensor], own: Mapping[str, _Own]) -> dict[str, Tensor]:
    """Names without what wrappers put in, unless the model itself is made of such."""
    known = {part for name in own for part in name.split(".")}
    leave_out = [wrapper for wrapper in WRAPPERS if wrapper not in known]
    return {
        ".".join(part for part in name.split(".") if part not in leave_out): tensor
        for name, tensor in tensors.items()
    }


def _prefixes(tensors: Mapping[str, Tensor], own: Mapping[str, _Own]) -> list[str]:
    """What may stand before all of the model's names: "" first."""
    found: dict[str, int] = {"": 0}
    if all(name in tensors for name in own):
        return [""]
    ends: dict[str, list[str]] = {}
    for name in own:
        ends.setdefault(name.rpartition(".")[2], []).append(name)
    for name in tensors:
        for one in ends.get(name.rpartition(".")[2], ()):
            if name.endswith(f".{one}"):
                prefix = name.removesuffix(one)
                found[prefix] = found.get(prefix, 0) + 1
    most = max(found.values())
    return [prefix for prefix, n in found.items() if n >= most // 2 or not prefix][:64]


def _with_prefix(tensors: Mapping[str, Tensor], prefix: str, own: Mapping[str, _Own]) -> _Fit:
    given = {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
    there = {one.shared for name, one in own.items() if name in given and one.shared}
    missing = [
        name
        for name, one in own.items()
        if name not in given
        and one.shared not in there  # tied to one that is there: saved once
        and name.rpartition(".")[2] not in UNIMPORTANT
    ]
    unexpected = [name for name in given if name not in own]
    other = [
        name for name, one in own.items() if name in given and tuple(given[name].shape) != one.shape
    ]
    wrong: list[str] = []
    if missing:
        wrong.append(f"it lacks {len(missing)} tensors of the model: {_names(missing)}")
    if unexpected:
        wrong.append(f"it has {len(unexpected)} the model does not: {_names(unexpected)}")
    if other:
        first = other[0]
        wrong.append(
            f"{len(other)} have another shape: {_names(other)} "
            f"({first!r}: {list(given[first].shape)}, in the model {list(own[first].shape)})"
        )
    same = sum(name in own and name not in other for name in given)
    return _Fit({n: t for n, t in given.items() if n in own}, prefix, tuple(wrong), same)


def _names(names: list[str]) -> str:
    told = ", ".join(repr(name)[:80] for name in names[:NAMED])
    return told if len(names) <= NAMED else f"{told} and {len(names) - NAMED} more"
