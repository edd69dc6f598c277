"""Taking responses out of a running model. torch is imported here."""

from huelapse.capture.capturing import Capture
from huelapse.capture.passing import Captured, Pass
from huelapse.capture.probe import ProbeSet
from huelapse.capture.scalars import ScalarMeans

__all__ = ["Capture", "Captured", "Pass", "ProbeSet", "ScalarMeans"]
