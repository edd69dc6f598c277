"""What the arrays of an export mean, said in the same words wherever they stand."""

from typing import Any

from huelapse.schema import Layer

ABOUT = {
    "step": "optimizer steps made",
    "epoch": "passes over the training data, NaN if not told",
    "wall_time": "seconds since 1970, UTC",
    "layer": "path of the layer",
    "index_in_layer": "index of the unit in its layer",
    "count": "samples forwarded",
    "mean": "mean response over finite responses (count - nonfinite), NaN where there are none",
    "m2": "sum of squared deviations from the mean; m2 / (count - nonfinite - 1) is the variance",
    "active": "samples with a response > 0",
    "nonfinite": "responses that were NaN or infinite; they enter nothing else",
    "confusion": "samples by true and predicted class",
    "preferred": "index of the preferred class, -1 without data",
    "runner_up": "index of the class it is judged against, -1 without data",
    "suppressed": "1 where the preferred class is the one with the least mean",
    "sure": "probability that the preferred class really is the greatest, NaN without data",
    "margin": "how surely the unit tells its class from the runner-up: 0 chance, 1 always",
    "strength": "lower one-standard-error bound of margin, 0 where not held, NaN without data",
    "state": "what can be said of the unit",
}


def layer_attributes(layer: Layer) -> dict[str, Any]:
    """What is told of a layer, as numbers, text and lists that every format keeps."""
    told: dict[str, Any] = {
        "kind": layer.kind,
        "unit_axis": layer.unit_axis,
        "offset": layer.offset,
        "signed": int(layer.signed),
        "output": int(layer.output),
    }
    return told | ({"shape": list(layer.shape)} if layer.shape else {})
