"""Taking responses out of a running model. torch is imported here."""

from huelapse.capture.assigning import Samples
from huelapse.capture.batches import Unpacking
from huelapse.capture.capturing import Capture
from huelapse.capture.optional import Wanted
from huelapse.capture.passing import Pass
from huelapse.capture.probe import ProbeBatch, ProbeSet, SameSamples, default_samples
from huelapse.capture.ranks import process_rank
from huelapse.capture.running import run_probe
from huelapse.capture.scalars import ScalarMeans, means, one_epoch
from huelapse.capture.selecting import Selection
from huelapse.capture.sums import Captured
from huelapse.capture.window import Window

__all__ = [
    "Capture",
    "Captured",
    "Pass",
    "ProbeBatch",
    "ProbeSet",
    "SameSamples",
    "Samples",
    "ScalarMeans",
    "Selection",
    "Unpacking",
    "Wanted",
    "Window",
    "default_samples",
    "means",
    "one_epoch",
    "process_rank",
    "run_probe",
]
