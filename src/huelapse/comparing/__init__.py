"""Runs, splits and groupings beside each other; several seeds as one."""

from huelapse.comparing.agreeing import Agreement, agreement
from huelapse.comparing.checking import same_start
from huelapse.comparing.grouping import Group, group
from huelapse.comparing.matching import Match, match
from huelapse.comparing.pairing import Comparison, compare

__all__ = [
    "Agreement",
    "Comparison",
    "Group",
    "Match",
    "agreement",
    "compare",
    "group",
    "match",
    "same_start",
]
