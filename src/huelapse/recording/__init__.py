"""Recording a training: the recorder joins capture to store, and never harms the loop."""

from huelapse.capture.schedule import Every, every
from huelapse.recording.forecast import Forecast
from huelapse.recording.recorder import Recorder

__all__ = ["Every", "Forecast", "Recorder", "every"]
