"""From an output tensor to responses: one number per sample and unit."""

import torch
from torch import Tensor, nn

from huelapse.errors import OutputError, UnitCountError

LAST_AXIS = (nn.Linear, nn.LayerNorm, nn.Embedding, nn.MultiheadAttention, nn.Bilinear)
"""Modules that work on the last axis: what follows them has its units there."""


def unit_axis(tensor: Tensor, after: nn.Module | None) -> int:
    """Which axis holds the units of an output that followed the module `after`.

    [B, C] and convolution's [B, C, …] have them on axis 1; tokens [B, T, D] and channels-last images
    on the last, which is told by the last module with weights that ran before.
    """
    if tensor.ndim >= 3 and isinstance(after, LAST_AXIS):
        return tensor.ndim - 1
    return 1


def reduce(tensor: Tensor, axis: int, out: Tensor) -> None:
    """Mean over positions into `out` [sample, unit] float32: one read of `tensor`, nothing kept."""
    if tensor.ndim == 1:
        tensor = tensor[:, None]
    if tensor.shape[axis] != out.shape[1]:
        raise UnitCountError(
            f"found {tensor.shape[axis]} units, but {out.shape[1]} when recording began; "
            f"a layer's width must stay the same through a run"
        )
    positions = [d for d in range(1, tensor.ndim) if d != axis]
    if positions:
        torch.mean(tensor, positions, dtype=torch.float32, out=out)
    else:
        out.copy_(tensor)


def output_kind(output: Tensor) -> str:
    """What the model's output is, told from a batch: "probability", "log-probability" or "logits".

    A single column is a logit of the second of two classes, or its probability if all lie in 0…1.
    """
    values = output.detach().float()
    if values.ndim == 1 or values.shape[1] == 1:
        inside = bool(((values >= 0) & (values <= 1)).all())
        return "probability" if inside and values.numel() > 1 else "logits"
    if bool((values >= 0).all()) and _sums_to_one(values):
        return "probability"
    if bool((values <= 0).all()) and _sums_to_one(values.exp()):
        return "log-probability"
    return "logits"


def _sums_to_one(values: Tensor) -> bool:
    return bool(((values.sum(1) - 1).abs() < 1e-3).all())


def probability(output: Tensor, kind: str) -> Tensor:
    """The output's responses: [sample, class] probabilities, or [sample, 1] of the second class."""
    values = output.float()
    if values.ndim == 1:
        values = values[:, None]
    if kind == "probability":
        return values
    if kind == "log-probability":
        return values.exp()
    return values.sigmoid() if values.shape[1] == 1 else values.softmax(1)


def predict(output: Tensor, probabilities: Tensor, kind: str) -> Tensor:
    """Predicted class of each sample, int64; -1 where its probabilities are not finite.

    Taken from the output itself: rounding in the softmax can tie what the logits tell apart.
    """
    if probabilities.shape[1] == 1:
        column = output.reshape(-1)
        predicted = (column > (0.0 if kind == "logits" else 0.5)).long()
    else:
        predicted = output.argmax(1)
    return torch.where(probabilities.isfinite().all(1), predicted, -1)


def check_output(output: object, classes: int) -> Tensor:
    """
    Raises:
        OutputError: not one tensor of [sample, class], or of another width than there are classes.
    """
    if not isinstance(output, Tensor) or not output.is_floating_point():
        raise OutputError(
            f"the model returned {type(output).__name__}, expected one floating-point tensor "
            f"[sample, class]; wrap the model so that its forward returns the logits"
        )
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
