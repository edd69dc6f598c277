"""Runs, splits and groupings beside each other; several seeds as one."""

from huelapse.comparing.agreeing import Agreement, agreement
from huelapse.comparing.checking import class_order, other_layers, other_samples, same_start
from huelapse.comparing.grouping import Group, group
from huelapse.comparing.matching import Match, match
from huelapse.comparing.pairing import Comparison, Pairs, compare, pair

__all__ = [
    "Agreement",
    "Comparison",
    "Group",
    "Match",
    "Pairs",
    "agreement",
    "class_order",
    "compare",
    "group",
    "match",
    "other_layers",
    "other_samples",
    "pair",
    "same_start",
]
