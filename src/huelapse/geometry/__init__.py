"""How classes lie in a layer's space, and how the space moves: neural collapse, decoding, CKA.

What follows from class means and variances needs only what every run stores; the rest needs kept
responses, and says so.
"""

from huelapse.geometry.centres import Centres, centres
from huelapse.geometry.decoding import Decoded, decode
from huelapse.geometry.rotating import Control, rotated
from huelapse.geometry.similarity import cka
from huelapse.geometry.through import collapse, decoded, similarity, special
from huelapse.geometry.within import within_collapse

__all__ = [
    "Centres",
    "Control",
    "Decoded",
    "centres",
    "cka",
    "collapse",
    "decode",
    "decoded",
    "rotated",
    "similarity",
    "special",
    "within_collapse",
]
