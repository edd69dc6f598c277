"""What a user wants kept with a run, as values JSON can hold."""

import json
import math
from collections.abc import Mapping
from typing import Any

from huelapse.errors import ConfigError


def plain(config: Any) -> Any:
    """A config as JSON values: anything else becomes its text, and NaN becomes null.

    Raises:
        ConfigError: it refers to itself, or is no mapping.
    """
    if not isinstance(config, Mapping):
        raise ConfigError(
            f"config is {type(config).__name__}, expected a mapping such as vars(args)"
        )
    try:
        values = json.loads(json.dumps(config, default=str, skipkeys=True))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"config cannot be kept as JSON: {error}") from error

    def finite(value: Any) -> Any:
        if isinstance(value, float) and not math.isfinite(value):
            return None
        if isinstance(value, list):
            return [finite(v) for v in value]
        return {k: finite(v) for k, v in value.items()} if isinstance(value, dict) else value

    return finite(values)
