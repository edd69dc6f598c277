"""One of several jobs that share a replay without knowing of each other."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from huelapse.errors import OptionError

T = TypeVar("T")

KNOWN = (
    ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN"),
    ("RANK", "WORLD_SIZE", None),
    ("SLURM_PROCID", "SLURM_NTASKS", None),
    ("JOB_COMPLETION_INDEX", "JOB_COMPLETIONS", None),
)
"""Variables that say which of how many: SLURM arrays, torchrun, srun, indexed jobs of Kubernetes."""


@dataclass(frozen=True, slots=True)
class Shard:
    """The i-th of n, from 0."""

    i: int
    n: int

    def own(self, tasks: Sequence[T]) -> list[T]:
        """Every n-th of all tasks, whoever has done some of them."""
        return list(tasks[self.i :: self.n])


def shard_of(given: Any) -> Shard | None:
    """
    Args:
        given: "i/n", (i, n), "env", or None.

    Raises:
        OptionError: it is none of them, or the environment does not say.
    """
    if given is None:
        return None
    if given == "env":
        return _of_environment()
    pair: Any = given
    if isinstance(given, str):
        match = re.fullmatch(r"\s*(\d+)\s*/\s*(\d+)\s*", given)
        pair = (int(match[1]), int(match[2])) if match else None
    if isinstance(pair, tuple) and len(pair) == 2 and all(type(x) is int for x in pair):
        i, n = pair
        if 0 <= i < n:
            return Shard(i, n)
    raise OptionError(
        f"shard is {given!r}, expected i/n with i from 0 to n - 1, such as 0/8; or env"
    )


def _of_environment() -> Shard:
    for index, count, first in KNOWN:
        if index in os.environ and count in os.environ:
            try:
                i, n = int(os.environ[index]), int(os.environ[count])
                i -= int(os.environ.get(first, "0")) if first else 0
            except ValueError as error:
                raise OptionError(f"{index} or {count} is no number") from error
            return shard_of((i, n)) or Shard(0, 1)
    told = ", ".join(f"{index} and {count}" for index, count, _ in KNOWN)
    raise OptionError(f"shard is env, but nothing says which of how many; looked for {told}")
