"""Taking responses out of a running model. torch is imported here."""

from huelapse.capture.assigning import Samples
from huelapse.capture.batches import Unpacking
from huelapse.capture.capturing import Capture, process_rank
from huelapse.capture.passing import Pass
from huelapse.capture.probe import ProbeSet, default_samples
from huelapse.capture.scalars import ScalarMeans, means
from huelapse.capture.selecting import Selection
from huelapse.capture.sums import Captured
from huelapse.capture.window import Window

__all__ = [
    "Capture",
    "Captured",
    "Pass",
    "ProbeSet",
    "Samples",
    "ScalarMeans",
    "Selection",
    "Unpacking",
    "Window",
    "default_samples",
    "means",
    "process_rank",
]
