"""From an output tensor to responses: one number per sample and unit."""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from huelapse.errors import OutputError, UnitCountError

OutputKind = Literal["logits", "log-probability", "probability"]

Response = Literal["mean", "peak"]

Tokens = Literal["mean", "class", "last"]

LAST_AXIS = (
    nn.Linear,
    nn.LayerNorm,
    nn.RMSNorm,
    nn.Embedding,
    nn.MultiheadAttention,
    nn.Bilinear,
    nn.RNNBase,
    nn.RNNCellBase,
)
"""Modules that work on the last axis: what follows them has its units there."""

CHANNELS = (
    nn.modules.conv._ConvNd,  # pyright: ignore[reportPrivateUsage]
    nn.modules.batchnorm._NormBase,  # pyright: ignore[reportPrivateUsage]
    nn.GroupNorm,
)
"""Modules that work on axis 1, the channels."""


def unit_axis(ndim: int, after: nn.Module | None) -> int:
    """Which axis holds the units of an output that followed the module `after`.

    [B, C] and convolution's [B, C, …] have them on axis 1; tokens [B, T, D] and channels-last
    images on the last. That is told by the last module with weights that ran before; after one
    that is not known, three axes are taken for tokens and more for channels.
    """
    if ndim < 3 or after is None or isinstance(after, CHANNELS):
        return 1
    if ndim == 3 or isinstance(after, LAST_AXIS):
        return ndim - 1
    return 1


def reduce(
    tensor: Tensor,
    axis: int,
    out: Tensor,
    mask: Tensor | None = None,
    *,
    response: Response = "mean",
    tokens: Tokens = "mean",
) -> None:
    """One number per sample and unit into `out`: one read of `tensor`, nothing kept.

    Args:
        tensor: a layer's output.
        axis: which holds the units.
        out: [sample, unit] float32, where the responses go.
        mask: [sample, token], 1 where a token counts and 0 for padding; used where `tensor` is
            [sample, token, unit] over the same tokens. A sample without tokens is NaN.
        response: "mean" over positions, or "peak", the greatest of them.
        tokens: which of [sample, token, unit] count: all ("mean"), the first, which is the class
            token where there is one ("class"), or the last that is not padding ("last").

    Raises:
        UnitCountError: the layer has another width than when recording began.
    """
    if tensor.ndim == 1:
        tensor = tensor[:, None]
    if tensor.shape[axis] != out.shape[1]:
        raise UnitCountError(
            f"found {tensor.shape[axis]} units, but {out.shape[1]} when recording began; "
            f"a layer's width must stay the same through a run"
        )
    if tensor.ndim == 3 and axis == 2:
        masked = mask if mask is not None and mask.shape == tensor.shape[:2] else None
        if tokens != "mean":
            out.copy_(_one_token(tensor, tokens, masked))
            return
        if masked is not None:
            _over_tokens(tensor, masked.to(tensor.device, non_blocking=True), out, response)
            return
    positions = [d for d in range(1, tensor.ndim) if d != axis]
    if not positions:
        out.copy_(tensor)
    elif response == "peak":
        if tensor.dtype == torch.float32:
            torch.amax(tensor, positions, out=out)
        else:
            out.copy_(torch.amax(tensor, positions))
    else:
        torch.mean(tensor, positions, dtype=torch.float32, out=out)


def _over_tokens(tensor: Tensor, mask: Tensor, out: Tensor, response: Response) -> None:
    if response == "peak":
        hidden = mask[:, :, None] == 0
        out.copy_(tensor.float().masked_fill(hidden, -torch.inf).amax(1))
        out.masked_fill_((mask == 0).all(1)[:, None], torch.nan)
        return
    weights = mask.to(torch.float32)
    weights = weights / weights.sum(1, keepdim=True)
    torch.bmm(weights[:, None, :], tensor.float(), out=out[:, None, :])


def _one_token(tensor: Tensor, tokens: Tokens, mask: Tensor | None) -> Tensor:
    if tokens == "class" or tensor.shape[1] == 1:
        return tensor[:, 0]
    if mask is None:
        return tensor[:, -1]
    # the last position whose mask is not 0, whichever side the padding is on
    last = mask.shape[1] - 1 - (mask != 0).flip(1).int().argmax(1)
    return tensor.gather(1, last[:, None, None].expand(-1, 1, tensor.shape[2]))[:, 0]


def output_kind(output: Tensor, module: str | None = None) -> OutputKind:
    """What the model's output is, told from the operation that made it, else from its values.

    A single column is told by the operation alone: an untrained logit may well lie in 0…1.

    Args:
        output: what a forward gave, with gradients on.
        module: class of the activation module, or name of the function, that gave it, if known.

    Raises:
        OutputError: a single column in 0…1 of which nobody knows what made it.
    """
    made_by = _operation(output)
    if made_by in ("SigmoidBackward0", "SoftmaxBackward0") or module in ("Sigmoid", "sigmoid"):
        return "probability"
    if made_by == "LogSoftmaxBackward0":
        return "log-probability"
    values = output.detach()
    if values.ndim == 1 or values.shape[1] == 1:
        unknown = made_by is None or "Clamp" in made_by
        if unknown and bool(((values >= 0) & (values <= 1)).all()):
            raise OutputError(
                "the model's single output lies in 0 … 1, and whether that is a probability cannot "
                'be told; say Recorder(output="probability") or Recorder(output="logits")'
            )
        return "logits"
    # a sum of K rounded values is off by a few of the type's own steps
    slack = max(1e-3, 4 * torch.finfo(values.dtype).eps)
    values = values.float()
    if bool((values >= 0).all()) and _sums_to_one(values, slack):
        return "probability"
    if bool((values <= 0).all()) and _sums_to_one(values.exp(), slack):
        return "log-probability"
    return "logits"


PASSED_THROUGH = ("View", "Squeeze", "Unsqueeze", "Reshape", "ToCopy", "Clone", "Alias", "Select")


def _operation(output: Tensor) -> str | None:
    """Name of the autograd node that made a tensor, past reshapes and casts."""
    node: Any = output.grad_fn
    while node is not None:
        name = type(node).__name__
        if not any(word in name for word in PASSED_THROUGH) or not node.next_functions:
            return name
        node = node.next_functions[0][0]
    return None


def _sums_to_one(values: Tensor, slack: float) -> bool:
    return bool(((values.sum(1) - 1).abs() < slack).all())


def probability(output: Tensor, kind: OutputKind, *, multilabel: bool = False) -> Tensor:
    """The output's responses: [sample, class] probabilities, or [sample, 1] of the second class.

    With `multilabel` each class stands for itself: a logit becomes a sigmoid, not a softmax.
    """
    values = output.detach().float()
    if values.ndim == 0:
        values = values.reshape(1)
    if values.ndim == 1:
        values = values[:, None]
    if kind == "probability":
        return values
    if kind == "log-probability":
        return values.exp()
    single = values.shape[1] == 1
    return values.sigmoid() if single or multilabel else values.softmax(1)


def predict(
    output: Tensor, probabilities: Tensor, kind: OutputKind, *, multilabel: bool = False
) -> Tensor:
    """Predicted class of each sample, int64 [sample]; -1 where its probabilities are not finite.

    Taken from the output itself: rounding in the softmax can tie what the logits tell apart. With
    `multilabel`: [sample, class] bool, whether each class is given more than one half.
    """
    finite = probabilities.isfinite().all(1)
    if multilabel:
        return (probabilities > 0.5) & finite[:, None]
    if probabilities.shape[1] == 1:
        column = output.reshape(-1)
        predicted = (column > (0.0 if kind == "logits" else 0.5)).long()
    else:
        predicted = output.argmax(1)
    return torch.where(finite, predicted, -1)


def logits_of(output: Any) -> Any:
    """The tensor in what a forward returned: itself, its `logits`, or the first of several."""
    if isinstance(output, Tensor):
        return output
    named = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", None)
    if isinstance(named, Tensor):
        return named
    if isinstance(output, tuple | list):
        parts: Any = output
        return parts[0] if parts else output
    return output


def check_output(output: object, classes: int) -> Tensor:
    """The tensor [sample, class] of what a forward returned.

    Raises:
        OutputError: not one tensor of [sample, class], or of another width than there are classes.
    """
    returned, output = output, logits_of(output)
    if not isinstance(output, Tensor) or not output.is_floating_point():
        raise OutputError(
            f"the model returned {type(returned).__name__}, expected one floating-point tensor "
            f"[sample, class], or `logits` in a dict or object; wrap the model so that its forward "
            f"returns the logits"
        )
    if output.ndim == 0:  # a batch of one, squeezed
        output = output.reshape(1)
    single = output.ndim == 1 or (output.ndim == 2 and output.shape[1] == 1)
    if output.ndim > 2 or (single and classes != 2):
        raise OutputError(
            f"the model's output has shape {tuple(output.shape)}, expected (samples, {classes}) "
            f"for {classes} classes"
        )
    if not single and output.shape[1] != classes:
        raise OutputError(
            f"the model gives {output.shape[1]} outputs, but there are {classes} classes; "
            f"pass all {output.shape[1]} class names, in order, as Recorder(classes=…)"
        )
    return output
