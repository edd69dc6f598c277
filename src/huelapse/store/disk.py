"""Faults of the disk, told from faults of ours."""

import errno
import re

FINAL = frozenset(
    (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.ENODEV)
)
"""Nothing can be written there any more. Space may come back, and a server that was away."""

TOLD = re.compile(r"os_error_code='(\d+)'|\[OS error (\d+)")
"""How TensorStore, in several versions, tells the number of the system's error."""


def disk_fault(error: BaseException) -> int | None:
    """The number of the system's error behind `error`; None where it was something else.

    TensorStore raises ValueError for all that goes wrong, and tells the number in its message.
    """
    if isinstance(error, OSError):
        return error.errno
    told = TOLD.search(str(error)) if isinstance(error, ValueError) else None
    return int(told[1] or told[2]) if told is not None else None
