"""What a user says to the recorder, checked before anything is made: a slip is told at once."""

from collections.abc import Callable, Mapping
from numbers import Integral
from typing import Any

from huelapse.errors import GroupingError, OptionError


def whole(name: str, value: Any, error: type[Exception] = OptionError) -> int | None:
    """A number of something, from 1; None where nobody said.

    Raises:
        OptionError, or `error`: it is none.
    """
    if value is None:
        return None
    number = isinstance(value, Integral) or (isinstance(value, float) and value.is_integer())
    if not number or value is True or value is False or value < 1:
        raise error(f"{name} is {value!r}, expected a whole number, 1 or more")
    return int(value)


def made_before(first_step: Any, exist: Any) -> int:
    """Optimizer steps made before recording starts.

    Raises:
        OptionError: no whole number, or a run is to be gone on with and nobody says where.
    """
    if first_step is None and exist == "resume":
        raise OptionError(
            'exist="resume" needs first_step: the optimizer steps made before this training starts, '
            "0 for a new one. What was recorded beyond them is superseded"
        )
    if isinstance(first_step, Integral) and first_step == 0 and first_step is not False:
        return 0
    return whole("first_step", first_step) or 0


def check_options(
    *,
    name: Any,
    ignore_index: Any,
    groupings: Any,
    functions: Mapping[str, Callable[..., Any] | None],
) -> None:
    """
    Raises:
        OptionError, GroupingError: an option is of a kind that cannot be.
    """
    if name is not None and not isinstance(name, str):
        raise OptionError(f"name is {name!r}, expected a text: what people call the run")
    if not isinstance(ignore_index, Integral):
        raise OptionError(
            f"ignore_index is {ignore_index!r}, expected the label of samples to leave out; where "
            f"there are none leave it at -100"
        )
    if groupings is not None and not isinstance(groupings, Mapping):
        raise GroupingError(
            f"groupings is {type(groupings).__name__}, expected a dict of name → (class names, rule)"
        )
    for option, function in functions.items():
        if function is not None and not callable(function):
            raise OptionError(f"{option} is {function!r}, expected a function")
