"""The measures by name: those that come with huelapse, and those users register."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from huelapse.errors import OptionError, SelectionError
from huelapse.measures.activity import (
    false_alarm_rate,
    hit_rate,
    informedness,
    mutual_information,
    precision,
    precision_at,
)
from huelapse.measures.distance import class_selectivity, margin, separability
from huelapse.measures.judged import Compute, Judged, Selectivity
from huelapse.measures.variance import eta_squared, variance_explained


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """A named function of the statistics.

    Args:
        name: letters, digits and "_"; it stands in addresses.
        title: for people, capitalised.
        about: one sentence that says what 0 and 1 mean.
        compute: from statistics to value and bound, arrays over units.
        non_negative: whether it has a meaning only where responses cannot be negative. Elsewhere it
            is not computed, and units are drawn as what they are: not defined.
        colors: whether more of it is more selective, so that it may become a color.
        own: whether a user registered it. What follows from it is never kept on disk.
    """

    name: str
    title: str
    about: str
    compute: Compute
    non_negative: bool = False
    colors: bool = True
    own: bool = False


DEFAULT = "margin"

MEASURES: dict[str, Measure] = {
    measure.name: measure
    for measure in (
        Measure(
            name="margin",
            title="Margin",
            about="how surely this unit alone tells its class from the next one: "
            "0 is chance, 1 is always; less one standard error",
            compute=margin,
        ),
        Measure(
            name="class_selectivity",
            title="Class selectivity",
            about="how much more its class drives the unit than the others do on average: "
            "0 is equal, 0.5 three times as much, 1 nothing but its class; less one standard error",
            compute=class_selectivity,
            non_negative=True,
        ),
        Measure(
            name="separability",
            title="Separability",
            about="how surely this unit alone tells its class from all the others together: "
            "0 is chance, 1 is always; less one standard error",
            compute=separability,
        ),
        Measure(
            name="variance_explained",
            title="Variance explained (ω²)",
            about="how much of the unit's variance the classes explain, corrected for chance: "
            "0 is none, 1 all; less one standard error",
            compute=variance_explained,
        ),
        Measure(
            name="eta_squared",
            title="Variance explained (η²)",
            about="how much of this sample's variance lies between classes, not corrected for "
            "chance: (K − 1)/(N − 1) is noise, 1 all; less one standard error",
            compute=eta_squared,
        ),
        Measure(
            name="informedness",
            title="Informedness",
            about="how much more often the unit is active for its class than for others: "
            "0 is chance, 1 always for it and never else; less one standard error",
            compute=informedness,
            non_negative=True,
        ),
        Measure(
            name="precision",
            title="Precision",
            about="of the samples that make the unit active, how many are of its class, were all "
            "classes equally frequent: 1 is all, however few they are; less one standard error",
            compute=precision,
            non_negative=True,
        ),
        Measure(
            name="hit_rate",
            title="Hit rate",
            about="for how many samples of its class the unit is active: 1 is all, also of a unit "
            "that is always on; less one standard error",
            compute=hit_rate,
            non_negative=True,
            colors=False,
        ),
        Measure(
            name="false_alarm_rate",
            title="False-alarm rate",
            about="for how many samples of other classes the unit is active: 0 is none, and good; "
            "less one standard error",
            compute=false_alarm_rate,
            non_negative=True,
            colors=False,
        ),
        Measure(
            name="mutual_information",
            title="Mutual information",
            about="how much of what whether it is active could tell is about the class: "
            "0 is nothing, 1 all; less its bias and one standard error",
            compute=mutual_information,
            non_negative=True,
        ),
    )
}
BUILT_IN = tuple(MEASURES)


def precision_at_frequencies(frequencies: Sequence[float] | np.ndarray) -> Measure:
    """Precision were classes as frequent as given: a measure to pass to `Run.selectivity`.

    Args:
        frequencies: of each class, in order of index; they are scaled to sum to 1.

    Raises:
        OptionError: not all are finite and ≥ 0, or none is above 0.
    """
    given = np.asarray(frequencies, np.float64)
    if given.ndim != 1 or not np.isfinite(given).all() or (given < 0).any() or given.sum() <= 0:
        raise OptionError(
            f"frequencies are {frequencies!r}, expected a number ≥ 0 for each class, not all 0"
        )
    known = given / given.sum()

    def compute(units: Judged) -> Selectivity:
        if len(known) != len(units.n):
            raise OptionError(f"found {len(known)} frequencies for {len(units.n)} classes")
        return precision_at(units, known)

    return Measure(
        name="precision_at_frequencies",
        title="Precision at given frequencies",
        about="of the samples that make the unit active, how many are of its class, were classes as "
        "frequent as told; less one standard error",
        compute=compute,
        non_negative=True,
    )


def register(measure: Measure) -> Measure:
    """Make a measure of your own known by its name, everywhere in this process.

    Registering a name again replaces it, unless it is one of huelapse's own.

    Raises:
        OptionError: the name cannot be one, or is huelapse's own.
    """
    if measure.name in BUILT_IN:
        raise OptionError(
            f"a measure {measure.name!r} comes with huelapse; give yours another name"
        )
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", measure.name):
        raise OptionError(
            f"a measure is named {measure.name!r}, expected up to 40 of a … z, 0 … 9 and _, "
            f"a letter first"
        )
    own = replace(measure, own=True)
    MEASURES[own.name] = own
    return own


def find_measure(name: str | Measure) -> Measure:
    """A measure by its name, or itself.

    Raises:
        SelectionError: there is no measure of that name.
    """
    if isinstance(name, Measure):
        return name
    if name not in MEASURES:
        raise SelectionError(f"no measure {name!r}; there are {', '.join(MEASURES)}")
    return MEASURES[name]
