"""What would keep the interpreter to itself is worked out in a process of its own.

A page may be served by the process that trains. Ordering the leaves of many classes is one call of a
library that lets no other thread of Python run until it is done: of 1,000 classes for seconds.
"""

import io
import json
import logging
import subprocess
import sys

import numpy as np
from jaxtyping import Float64

from huelapse.palette import by_similarity

logger = logging.getLogger(__name__)

FEW = 100
"""Classes up to which it takes a hundredth of a second, less than another process takes to begin."""
PATIENCE = 120.0
"""Seconds after which the other process is given up."""

# isolated, so that nothing of the directory it is started in is taken for a library
CHILD = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); "
    "from huelapse.viewer.apart import answer; answer()"
)


def places_of(similarity: Float64[np.ndarray, "class other"]) -> Float64[np.ndarray, " class"]:
    """As `by_similarity`; of many classes computed by another process, or here if none can be had."""
    if len(similarity) <= FEW:
        return by_similarity(similarity)
    given = io.BytesIO()
    np.save(given, similarity, allow_pickle=False)
    command = [sys.executable, "-I", "-c", CHILD, json.dumps(sys.path)]
    try:
        # this interpreter, and nothing that a run says
        done = subprocess.run(  # noqa: S603
            command, input=given.getvalue(), capture_output=True, timeout=PATIENCE, check=True
        )
        return np.load(io.BytesIO(done.stdout), allow_pickle=False)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        logger.warning("no process could be had to order the classes: %s", error)
        return by_similarity(similarity)


def answer() -> None:
    """In the other process: similarities come in, places go out."""
    similarity = np.load(io.BytesIO(sys.stdin.buffer.read()), allow_pickle=False)
    found = io.BytesIO()  # numpy asks a file where it stands, and a pipe does not know
    np.save(found, by_similarity(similarity), allow_pickle=False)
    sys.stdout.buffer.write(found.getvalue())
