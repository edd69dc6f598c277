"""What a unit is tuned to, and how sure: measures, sureness, strength, states. Float64, numpy only.

Letters as in the formulas: for one unit, class k has n_k responses with mean m_k and unbiased
variance v_k; p is the preferred class, q the runner-up. Classes with n_k < 3 take no part.
"""

from huelapse.measures.controls import PERMUTATIONS, halves, permuted_bounds
from huelapse.measures.intervals import FEW_ACTIVE, active_interval, interval, reliable, wilson
from huelapse.measures.judged import Judged, Selectivity
from huelapse.measures.levels import Leveled, grouped, read_levels, read_levels_by
from huelapse.measures.named import (
    DEFAULT,
    MEASURES,
    Measure,
    find_measure,
    precision_at_frequencies,
    register,
)
from huelapse.measures.preferring import (
    HELD,
    MIN_HELD_SAMPLES,
    MIN_SAMPLES,
    NO_CLASS,
    Preference,
    prefer,
)
from huelapse.measures.reading import TUNED, Reading, State, blocks_of, read, read_by

MEASURES_VERSION = 2
"""Of all that is computed here; what was derived by another version is derived anew."""

__all__ = [
    "DEFAULT",
    "FEW_ACTIVE",
    "HELD",
    "MEASURES",
    "MEASURES_VERSION",
    "MIN_HELD_SAMPLES",
    "MIN_SAMPLES",
    "NO_CLASS",
    "PERMUTATIONS",
    "TUNED",
    "Judged",
    "Leveled",
    "Measure",
    "Preference",
    "Reading",
    "Selectivity",
    "State",
    "active_interval",
    "blocks_of",
    "find_measure",
    "grouped",
    "halves",
    "interval",
    "permuted_bounds",
    "precision_at_frequencies",
    "prefer",
    "read",
    "read_by",
    "read_levels",
    "read_levels_by",
    "register",
    "reliable",
    "wilson",
]
