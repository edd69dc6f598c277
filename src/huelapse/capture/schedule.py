"""When to take a snapshot. Not torch's business."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Literal

from huelapse.errors import ScheduleError


@dataclass(frozen=True, kw_only=True, slots=True)
class Every:
    """A snapshot every so many steps, epochs or seconds; made by `every`."""

    steps: int | None = None
    epochs: float | None = None
    seconds: float | None = None


def every(
    *, steps: int | None = None, epochs: float | None = None, seconds: float | None = None
) -> Every:
    """A schedule: every so many optimizer steps, passes over the data, or seconds.

    Epochs are those told to `Recorder.step(epoch=…)`.

    Raises:
        ScheduleError: not exactly one of them, or not above 0.
    """
    given: list[Any] = [value for value in (steps, epochs, seconds) if value is not None]
    number = len(given) == 1 and isinstance(given[0], Real) and float(given[0]) > 0
    if not number or (steps is not None and not float(steps).is_integer()):
        raise ScheduleError(
            f"every(steps={steps!r}, epochs={epochs!r}, seconds={seconds!r}): expected exactly one "
            f"of them, above 0, and steps whole"
        )
    return Every(steps=steps, epochs=epochs, seconds=seconds)


ScheduleLike = None | int | Iterable[int] | Callable[[int], bool] | Every | Literal["manual"]

Due = Callable[[int, float], bool]
"""Whether a snapshot is due at a step, and the epoch told with it (NaN where none was)."""

SNAPSHOTS = 50
"""Snapshots the default schedule aims at where the length is known."""

GROWTH = 1.22
"""Ratio of successive steps where it is not: 50 snapshots by step 20,000, 70 by a million."""


def due(schedule: ScheduleLike = None, total_steps: int | None = None) -> Due:
    """A function that says whether a snapshot is due at a step (≥ 1; step 0 always is).

    Args:
        schedule: None for the default, dense at first and then sparser; n for every n steps;
            steps; `every(…)`; "manual" for never; or a function of the step.
        total_steps: how long the training will be, if known: the default then spreads about 50
            snapshots over it, quadratically, and ends on the last step.

    Raises:
        ScheduleError: n or a step is not positive, or there are none.
    """
    if isinstance(schedule, Every):
        return _every(schedule)
    plain = _of_steps(schedule, total_steps)
    return lambda step, _epoch: bool(plain(step))


def lasting(schedule: ScheduleLike) -> ScheduleLike:
    """The same schedule; steps that a generator would give only once are kept."""
    return tuple(schedule) if isinstance(schedule, Iterator) else schedule


def expected(schedule: ScheduleLike, total_steps: int | None) -> int | None:
    """How many snapshots a schedule will ask for, step 0 apart; None where nobody can tell."""
    if schedule == "manual" or callable(schedule):
        return None
    if isinstance(schedule, Every):
        if schedule.steps is None or total_steps is None:
            return None
        return total_steps // schedule.steps
    if schedule is None:
        return len(spread(total_steps)) - 1 if total_steps else SNAPSHOTS
    if isinstance(schedule, int | Integral):
        return total_steps // int(schedule) if total_steps else None
    return len(frozenset(schedule) - {0})


def _every(schedule: Every) -> Due:
    if schedule.steps is not None:
        steps = schedule.steps
        return lambda step, _epoch: step % steps == 0
    if schedule.epochs is not None:
        return _by_epochs(schedule.epochs)
    return _by_seconds(schedule.seconds or 0.0)


def _by_epochs(epochs: float) -> Due:
    done = 0

    def is_due(_step: int, epoch: float) -> bool:
        nonlocal done
        if math.isnan(epoch):
            return False
        # a hair of slack: epochs are often sums of fractions
        whole = math.floor(epoch / epochs + 1e-9)
        if whole <= done:
            return False
        done = whole
        return True

    return is_due


def _by_seconds(seconds: float) -> Due:
    last = time.monotonic()

    def is_due(_step: int, _epoch: float) -> bool:
        nonlocal last
        now = time.monotonic()
        if now - last < seconds:
            return False
        last = now
        return True

    return is_due


def _of_steps(schedule: Any, total_steps: int | None) -> Callable[[int], Any]:
    if callable(schedule):
        return schedule
    if schedule is None:
        return _quadratic(total_steps) if total_steps is not None else _geometric()
    if schedule == "manual":
        return lambda _step: False
    if isinstance(schedule, int | Integral):
        every_n = 0 if schedule is True else int(schedule)
        if every_n < 1:
            raise ScheduleError(
                f"schedule is {schedule!r}; a number means every so many steps, from 1"
            )
        return lambda step: step % every_n == 0
    if isinstance(schedule, str) or not hasattr(schedule, "__iter__"):
        raise ScheduleError(
            f'schedule is {schedule!r}, expected None, a number, steps, "manual", '
            f"huelapse.every(…) or a function of the step"
        )
    steps = frozenset(_step(step) for step in schedule)
    if not steps or min(steps) < 0:
        raise ScheduleError(
            f"schedule names {sorted(steps)[:5]}; expected at least one step, none below 0"
        )
    return steps.__contains__


def _step(given: Any) -> int:
    try:
        step = int(given)
        exact = bool(step == given)
    except (TypeError, ValueError, OverflowError):
        step, exact = 0, False
    if not exact:
        raise ScheduleError(f"schedule names {given!r}, expected whole numbers of steps")
    return step


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
