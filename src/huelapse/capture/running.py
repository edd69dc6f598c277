"""A probe run through a model: eval mode, its own randomness, nothing of it left behind."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from torch import Tensor

from huelapse.capture.assigning import Samples
from huelapse.capture.batches import described, moved
from huelapse.capture.capturing import Capture
from huelapse.capture.guard import same_model, same_randomness
from huelapse.capture.keeping import Parts
from huelapse.capture.passing import Pass
from huelapse.capture.probe import SEED, ProbeBatch, SameSamples
from huelapse.capture.sums import Captured
from huelapse.capture.watch import seen_only_by


def run_probe(capture: Capture, probe: SameSamples) -> Captured:
    """Forward the probe in eval mode, leaving no trace. Raises on what does not fit."""
    capture.check_ready()
    with same_randomness(SEED), same_model(capture.model):
        if not capture.traced:
            inputs = next(iter(probe.batches())).inputs
            if isinstance(inputs, Tensor):
                # fewer than a whole batch: an axis that only happens to be as long as a batch
                # is then not taken for the samples
                inputs = inputs[: max(1, len(inputs) // 2)]
            capture.trace(lambda: _forward(capture, inputs, "first batch"))
        one = Pass(capture, own=False)
        parts = capture.optional.parts(capture.model, capture.found) if capture.optional else None
        with one.attached(), _seen_by(capture, one, parts):
            for batch in probe.batches():
                with capture.around():
                    _forward(capture, batch.inputs, "batch")
                one.add(_known_of(capture, batch))
        return replace(one.result(), parts=parts)


def _forward(capture: Capture, inputs: Any, which: str) -> Any:
    """What the model's own error does not say, a note on it does: what went in, and why."""
    # a copy, as the forward may change its input in place
    inputs = moved(inputs, capture.device, copy=True)
    try:
        return capture.forward(inputs)
    except Exception as error:
        error.add_note(
            f"while the {which} of huelapse's probe ({described(inputs)}) ran through "
            f"{type(capture.model).__name__}; a probe's samples must be what the model takes"
        )
        raise


@contextmanager
def _seen_by(capture: Capture, one: Pass, parts: Parts | None) -> Generator[None]:
    """Forwards are for this pass alone, whatever else is attached."""
    before, capture.alone = capture.alone, one.forwards
    capture.observers = [parts] if parts is not None else []
    try:
        with seen_only_by(one.forwards):
            yield
    finally:
        capture.alone, capture.observers = before, []


def _known_of(capture: Capture, batch: ProbeBatch) -> Samples:
    """Labels of a probe's batch, and what it says of groupings without a rule."""
    given: Any = batch.metadata if isinstance(batch.metadata, Mapping) else {}
    groups = {name: given[name] for name in capture.groupings if name in given}
    return Samples(labels=batch.labels, metadata=batch.metadata, groups=groups)
