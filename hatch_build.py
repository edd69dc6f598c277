"""Build hook: the viewer's page is in the wheel, and is made from the sources beside it."""

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).parent / "tools"))
import bundle


class CustomBuildHook(BuildHookInterface):
    """Builds the bundle if it is absent or stale; Node is asked for only then."""

    def dependencies(self) -> list[str]:
        return [] if bundle.is_fresh() else [bundle.NODE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if not bundle.is_fresh():
            bundle.build()
        if not bundle.is_fresh():
            raise RuntimeError(
                "the viewer's bundle does not belong to its sources; run `make frontend`"
            )
