"""huelapse: which parts of a model become tuned to which class, and when.

    recorder = huelapse.Recorder(model, "runs/fashion", probe=val_loader, classes=names)
    …
    recorder.step(loss=loss)

    run = huelapse.open("runs/fashion")
    run.strength(step=200, layer="fc2")

Names are imported when first used: `import huelapse` alone loads no library.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from huelapse.errors import HuelapseError, HuelapseWarning
    from huelapse.hierarchy import Hierarchy
    from huelapse.measures import State
    from huelapse.recording import Forecast, Recorder, every
    from huelapse.replaying.replay import replay
    from huelapse.run import Run
    from huelapse.run import open_run as open
    from huelapse.schema import VERSION as __version__  # noqa: N811

__all__ = [
    "Forecast",
    "Hierarchy",
    "HuelapseError",
    "HuelapseWarning",
    "Recorder",
    "Run",
    "State",
    "__version__",
    "every",
    "open",
    "replay",
]

_HOME = {
    "Forecast": ("huelapse.recording", "Forecast"),
    "Hierarchy": ("huelapse.hierarchy", "Hierarchy"),
    "HuelapseError": ("huelapse.errors", "HuelapseError"),
    "HuelapseWarning": ("huelapse.errors", "HuelapseWarning"),
    "Recorder": ("huelapse.recording", "Recorder"),
    "Run": ("huelapse.run", "Run"),
    "State": ("huelapse.measures", "State"),
    "__version__": ("huelapse.schema", "VERSION"),
    "every": ("huelapse.recording", "every"),
    "open": ("huelapse.run", "open_run"),
    "replay": ("huelapse.replaying.replay", "replay"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'huelapse' has no attribute {name!r}")
    module, attribute = _HOME[name]
    try:
        value = getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        from huelapse.errors import MissingExtraError

        raise MissingExtraError(
            f"huelapse.{name} needs PyTorch: pip install 'huelapse[torch]'", name="torch"
        ) from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
