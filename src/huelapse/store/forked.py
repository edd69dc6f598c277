"""TensorStore's threads do not live on in a forked child: a process is told before it aborts there."""

import os
from types import ModuleType

from huelapse.errors import ForkedError


class _Use:
    """Of TensorStore, by this process and by those it was forked from."""

    here = False
    before_fork = False


def check_not_forked() -> None:
    """
    Raises:
        ForkedError: this process was forked from one that had used TensorStore by then, which ends
            a process that uses it all the same (SIGABRT).
    """
    if _Use.before_fork:
        raise ForkedError(
            "this process was forked from one that had used the store already (recorded, or read "
            "a run), whose threads do not live on in it. Start it with multiprocessing's "
            '"spawn" (multiprocessing.get_context("spawn")), or fork before anything is recorded '
            "or read"
        )


def tensorstore() -> ModuleType:
    """The library, from now on in use.

    Raises:
        ForkedError: as `check_not_forked`.
    """
    check_not_forked()
    import tensorstore as ts

    _Use.here = True
    return ts


def _inherit() -> None:
    _Use.before_fork = _Use.before_fork or _Use.here


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_inherit)
