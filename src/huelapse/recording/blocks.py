"""What stands around the user's own code: its evaluation, its training forward."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Literal

from huelapse.capture import Pass, Samples, Window
from huelapse.errors import HuelapseError

Failed = Callable[[Exception], None]


class Probing:
    """Handed out by `Recorder.probing`."""

    def __init__(self, one: Pass | None, failed: Failed) -> None:
        """
        Args:
            one: the pass being recorded; None once recording has ended.
            failed: told of what goes wrong; raises where it is early enough.
        """
        self._pass = one
        self._failed = failed

    def labels(self, labels: Any, *, ids: Any = None, metadata: Any = None, **groups: Any) -> None:
        """What is known of the batch that was forwarded last.

        Args:
            labels: [sample] class indices, on any device; None for samples without labels.
            ids: [sample] integers or strings on the host: a sample counts once.
            metadata: for the rules of groupings.
            groups: [sample] class indices of groupings without a rule.

        Raises:
            LabelError: in the first evaluation; later ones end the recording with a warning.
        """
        if self._pass is None:
            return
        try:
            self._pass.add(Samples(labels=labels, ids=ids, metadata=metadata, groups=groups))
        except Exception as error:
            self._pass = None
            self._failed(error)


class WindowBlock(AbstractContextManager[None]):
    """Around one training forward. What goes wrong in here is never the user's exception's match:
    theirs passes through, ours is told to `failed`."""

    def __init__(
        self, window: Window | None, samples: Samples | None = None, failed: Failed | None = None
    ) -> None:
        """
        Args:
            window: what records; None for a batch that is not recorded.
            samples: what is known of the batch.
            failed: told of what goes wrong after the first batch.
        """
        self._window = window
        self._samples = samples
        self._failed = failed
        self._inside: AbstractContextManager[None] | None = None

    def __enter__(self) -> None:
        if self._window is None or self._samples is None:
            return
        try:
            inside = self._window.block(self._samples)
            inside.__enter__()
            self._inside = inside
        except Exception as error:
            self._tell(error)

    def __exit__(self, kind: Any, value: Any, trace: Any) -> Literal[False]:
        inside, self._inside = self._inside, None
        if inside is None:
            return False
        try:
            inside.__exit__(kind, value, trace)
        except Exception as error:
            if error is not value:
                self._tell(error)
        return False

    def _tell(self, error: Exception) -> None:
        assert self._window is not None
        assert self._failed is not None
        if isinstance(error, HuelapseError) and not self._window.batches:
            raise error
        self._failed(error)


NOTHING = WindowBlock(None)
"""Around a batch that is not recorded."""
