"""Where many classes stand on the hue wheel: beside those they belong with, or are like.

A place is a share of the whole turn, 0 … 1. Hue names nothing among more than ten classes; by its
place it still says what a class belongs to.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from huelapse.errors import PaletteError

GAP = 12 / 360
"""Between two superclasses, and where an order begins and ends; less where there is no room."""


def even(classes: int) -> Float64[np.ndarray, " class"]:
    """Classes around the wheel in order of their index, equally far apart: k/K."""
    return np.arange(classes) / classes


def by_superclass(superclasses: Sequence[str | int]) -> Float64[np.ndarray, " class"]:
    """Children of a superclass side by side, superclasses apart.

    Each of S superclasses takes an arc in proportion to √(its number of children), after a gap of
    12°, or 0.4 · 360°/S where that is less. The i-th of its n children, in order of index, stands
    at (i + ½)/n of the arc. Superclasses stand in the order in which they first occur.

    Args:
        superclasses: one per class: its superclass's name or index.
    """
    named = list(superclasses)
    if not named:
        return np.empty(0)
    first = {name: k for k, name in reversed(list(enumerate(named)))}
    order = sorted(first, key=first.__getitem__)
    sizes = np.array([named.count(name) for name in order])
    gap = min(GAP, 0.4 / len(order))
    arcs = (1 - gap * len(order)) * np.sqrt(sizes) / np.sqrt(sizes).sum()
    begins = np.cumsum(gap + arcs) - arcs
    places = np.empty(len(named))
    for begin, arc, name in zip(begins, arcs, order, strict=True):
        children = [k for k, of in enumerate(named) if of == name]
        places[children] = begin + arc * (np.arange(len(children)) + 0.5) / len(children)
    return places


def by_similarity(similarity: Float64[np.ndarray, "class other"]) -> Float64[np.ndarray, " class"]:
    """Classes that are alike side by side, equally far apart, the wheel cut at its weakest link.

    Average linkage over distances max(similarity) − similarity, leaves in the order with the
    least sum of distances between neighbours (Bar-Joseph, Gifford and Jaakkola 2001, scipy). Of that
    circle the link between the two neighbours least alike is where hue begins and ends, with a gap
    of 12° or one class's share of the turn, whichever is more. The same similarities always give
    the same places: of the two directions the one is taken in which the lower index comes first.
    2 s for 1,000 classes.

    Args:
        similarity: [class, class] the greater, the more alike; symmetric. The diagonal is not
            looked at. Of a confusion matrix of rates R: (R + Rᵀ)/2.

    Raises:
        PaletteError: it is not square, not symmetric or not finite.
    """
    classes = len(similarity)
    if similarity.shape != (classes, classes) or classes == 0:
        raise PaletteError(
            f"similarity has shape {similarity.shape}, expected one row and one column per class"
        )
    off = ~np.eye(classes, dtype=bool)
    if not np.isfinite(similarity[off]).all():
        raise PaletteError("similarity has values that are not finite; every pair needs a number")
    if not np.allclose(similarity[off], similarity.T[off], rtol=1e-6, atol=1e-12):
        raise PaletteError("similarity is not symmetric; for rates R pass (R + R.T) / 2")
    if classes < 3:
        return even(classes)
    order = _leaves(similarity.max(where=off, initial=-np.inf) - similarity)
    links = similarity[order, np.roll(order, -1)]
    order = np.roll(order, -1 - int(links.argmin()))
    if order[0] > order[-1]:
        order = order[::-1]
    places = np.empty(classes)
    places[order] = np.arange(classes) * (1 - max(GAP, 1 / classes)) / (classes - 1)
    return places


def _leaves(distance: np.ndarray) -> np.ndarray:
    """[class] indices in the order of the leaves, from distances [class, class]."""
    from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering

    condensed = ((distance + distance.T) / 2)[np.triu_indices(len(distance), 1)]
    return leaves_list(optimal_leaf_ordering(linkage(condensed, "average"), condensed))
