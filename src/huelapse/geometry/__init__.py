"""How classes lie in a layer's space, and how the space moves: neural collapse, decoding, CKA.

What follows from class means and variances needs only what every run stores; the rest needs kept
responses, and says so.
"""

from huelapse.geometry.centres import Centres, centres
from huelapse.geometry.decoding import Decoded, decode
from huelapse.geometry.outlining import OUTLINE, outline, similar_to
from huelapse.geometry.rotating import Control, rotated
from huelapse.geometry.similarity import cka
from huelapse.geometry.through import collapse, decoded, similarity, special
from huelapse.geometry.within import within_collapse

__all__ = [
    "OUTLINE",
    "Centres",
    "Control",
    "Decoded",
    "centres",
    "cka",
    "collapse",
    "decode",
    "decoded",
    "outline",
    "rotated",
    "similar_to",
    "similarity",
    "special",
    "within_collapse",
]
