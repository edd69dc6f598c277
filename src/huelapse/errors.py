"""What can go wrong, each with a message that says what was found, what was expected, what to do.

Every leaf also inherits a builtin, so that callers who know nothing of huelapse can catch it.
"""

import logging
import traceback
import warnings

logger = logging.getLogger(__name__)


class HuelapseError(Exception):
    """Base of every error huelapse raises."""


class HuelapseWarning(UserWarning):
    """The one warning after which a recorder has stopped recording, or a notice about layers."""


def notice(text: str) -> None:
    """A warning that never becomes an exception in the user's loop."""
    try:
        warnings.warn(text, HuelapseWarning, stacklevel=3)
    except HuelapseWarning:  # the user turns warnings into errors, but not this loop's
        logger.warning(text)


def without_frames(error: Exception) -> Exception:
    """The same error to be kept: with its traceback as text, as frames would hold what the user's
    code had in hand, activations and their graph too."""
    if error.__traceback__ is not None:
        error.add_note("".join(traceback.format_tb(error.__traceback__)).rstrip())
    one: BaseException | None = error
    while one is not None:
        one.__traceback__ = None
        one = one.__cause__ or one.__context__
    return error


class LabelError(HuelapseError, ValueError):
    """Labels that cannot be counted: wrong dtype, out of range, wrong length."""


class GroupingError(HuelapseError, ValueError):
    """A grouping that cannot be, or indices that do not fit it."""


class ClassCountError(HuelapseError, ValueError):
    """The number of classes is impossible or does not fit the model's output."""


class OutputError(HuelapseError, ValueError):
    """The model's output is not what a classifier gives."""


class ProbeError(HuelapseError, ValueError):
    """The probe's samples cannot be drawn or forwarded."""


class LayerError(HuelapseError, ValueError):
    """A layer that cannot be recorded, or that is not in the run."""


class UnitCountError(HuelapseError, ValueError):
    """A layer gave another number of units than when recording began."""


class ScalarError(HuelapseError, ValueError):
    """A value passed to `Recorder.step` that is not one number."""


class SplitNameError(HuelapseError, ValueError):
    """A split's name that cannot be a group in the run."""


class ConfigError(HuelapseError, ValueError):
    """A config that cannot be kept as JSON."""


class OptionError(HuelapseError, ValueError):
    """An option of the recorder that has another type, or is out of its range."""


class ScheduleError(HuelapseError, ValueError):
    """A schedule that names no steps."""


class RecorderClosedError(HuelapseError, RuntimeError):
    """A call on a recorder that has been closed."""


class RunExistsError(HuelapseError, FileExistsError):
    """The directory already holds a run."""


class ResumeError(HuelapseError, ValueError):
    """A run that cannot be gone on with: what was recorded so far is something else."""


class RunLockedError(HuelapseError, RuntimeError):
    """Another process is writing this run."""


class ForkedError(HuelapseError, RuntimeError):
    """A forked process cannot use what its parent had begun to use."""


class RunPathError(HuelapseError, OSError):
    """No run can be made at this path."""


class NotARunError(HuelapseError, FileNotFoundError):
    """The path holds no run."""


class PlaceError(HuelapseError, OSError):
    """A run on another machine that can't be reached, may not be read, or has no path here."""


class FormatError(HuelapseError, ValueError):
    """The run was written in a format this version cannot read, or is damaged."""


class PartialError(HuelapseError, ValueError):
    """What one rank or worker has recorded is damaged, of another run, or cannot be merged."""


class NewerPartialError(PartialError):
    """A part that a newer huelapse has written: nothing is wrong with it."""


class CheckpointError(HuelapseError, ValueError):
    """A checkpoint that is not there, cannot be read safely, or is of another model."""


class FactoryError(HuelapseError, ValueError):
    """A function that should give the model or the data is not there, or fails."""


class ReplayError(HuelapseError, ValueError):
    """Checkpoints that cannot be replayed into this run, or not with these options."""


class RankError(HuelapseError, RuntimeError):
    """Ranks of one training do not find each other, or do not record the same."""


class SelectionError(HuelapseError, KeyError):
    """A step, split, grouping or layer that the run does not have."""

    def __str__(self) -> str:  # KeyError would show the message's repr
        return str(self.args[0]) if self.args else ""


class ComparisonError(HuelapseError, ValueError):
    """Runs, splits or groupings that cannot be compared: other samples, classes or layers."""


class HierarchyError(HuelapseError, ValueError):
    """Superclasses that form no tree, or none above the classes."""


class MeasureError(HuelapseError, ValueError):
    """A measure that was registered did not return what a measure returns."""


class PaletteError(HuelapseError, ValueError):
    """Colors, pinned classes or places on the hue wheel that cannot be."""


class ServerError(HuelapseError, OSError):
    """The viewer's server cannot start."""


class MissingExtraError(HuelapseError, ModuleNotFoundError):
    """An optional library is needed; the message names the extra that installs it."""


class PackError(HuelapseError, OSError):
    """A run cannot be packed into this file."""


class ExportError(HuelapseError, ValueError):
    """An export to no known format or no possible place, or of rows that are none."""


class ExportExistsError(HuelapseError, FileExistsError):
    """The file to be written by an export is already there."""
