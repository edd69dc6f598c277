"""When to take a snapshot. Not torch's business."""

import math
from collections.abc import Callable, Iterable
from numbers import Integral

from huelapse.errors import ScheduleError

ScheduleLike = None | int | Iterable[int] | Callable[[int], bool]

SNAPSHOTS = 50
"""Snapshots the default schedule aims at where the length is known."""

GROWTH = 1.22
"""Ratio of successive steps where it is not: 50 snapshots by step 20,000, 70 by a million."""


def due(schedule: ScheduleLike = None, total_steps: int | None = None) -> Callable[[int], bool]:
    """A function that says whether a snapshot is due at a step (≥ 1; step 0 always is).

    Args:
        schedule: None for the default, dense at first and then sparser; n for every n steps;
            steps; or a function of the step.
        total_steps: how long the training will be, if known: the default then spreads about 50
            snapshots over it, quadratically, and ends on the last step.

    Raises:
        ScheduleError: n or a step is not positive, or there are none.
    """
    if callable(schedule):
        return schedule
    if schedule is None:
        return _quadratic(total_steps) if total_steps is not None else _geometric()
    if isinstance(schedule, int | Integral):
        every = 0 if schedule is True else int(schedule)
        if every < 1:
            raise ScheduleError(
                f"schedule is {schedule!r}; a number means every so many steps, from 1"
            )
        return lambda step: step % every == 0
    steps = frozenset(int(step) for step in schedule)
    if not steps or min(steps) < 0:
        raise ScheduleError(
            f"schedule names {sorted(steps)[:5]}; expected at least one step, none below 0"
        )
    return steps.__contains__


def spread(total_steps: int, snapshots: int = SNAPSHOTS) -> list[int]:
    """About `snapshots` steps from 0 to `total_steps`, spaced quadratically: dense at first."""
    if total_steps < 1:
        raise ScheduleError(f"total_steps is {total_steps}, expected at least 1")
    last = max(snapshots - 1, 1)
    return sorted({round(total_steps * (i / last) ** 2) for i in range(last + 1)})


def _quadratic(total_steps: int) -> Callable[[int], bool]:
    steps = frozenset(spread(total_steps))
    # a training that goes on longer than announced is still recorded, at the same final spacing
    every = max(1, round(2 * total_steps / SNAPSHOTS))
    return lambda step: step in steps or (step > total_steps and (step - total_steps) % every == 0)


def _geometric() -> Callable[[int], bool]:
    upcoming = 1

    def is_due(step: int) -> bool:
        nonlocal upcoming
        if step < upcoming:
            return False
        upcoming = max(step + 1, math.ceil(step * GROWTH))
        return True

    return is_due
