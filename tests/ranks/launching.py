"""Starts the ranks of `training.py`, by torchrun or one by one, and tells what they left."""

import json
import multiprocessing
import os
import socket
import subprocess
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np

from huelapse.moments import Moments

HERE = Path(__file__).parent
SCRIPT = HERE / "training.py"

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["torch", "huelapse", "torch.distributed"])


def torchrun(out: Path, ranks: int, told: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """As a user does it."""
    command = (
        *(sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", str(ranks)),
        *("--master_port", str(free_port()), str(SCRIPT), str(out), json.dumps(told)),
    )
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def start(out: Path, ranks: int, told: dict[str, Any]) -> list[BaseProcess]:
    """The same ranks without torchrun, which would end all of them with the first that dies."""
    port = free_port()
    processes: list[BaseProcess] = []
    for rank in range(ranks):
        environment = {
            "RANK": str(rank),
            "WORLD_SIZE": str(ranks),
            "LOCAL_RANK": str(rank),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "OMP_NUM_THREADS": "1",
        }
        one = _context.Process(target=run_rank, args=(environment, str(out), told), daemon=True)
        one.start()
        processes.append(one)
    return processes


def run_rank(environment: dict[str, str], out: str, told: dict[str, Any]) -> None:
    os.environ.update(environment)
    sys.path.insert(0, str(HERE))
    log = os.open(Path(out, f"said-{environment['RANK']}.txt"), os.O_WRONLY | os.O_CREAT)
    os.dup2(log, 1)
    os.dup2(log, 2)
    import training

    try:
        training.main(Path(out), told)
    except BaseException as error:
        sys.last_value = error
        raise
    finally:  # what a program does as it ends: a forked process leaves without
        from huelapse.recording import ending

        ending._at_exit()


def wait(processes: list[BaseProcess], seconds: float = 60.0) -> list[int | None]:
    """Exit codes, None of those that have not ended by then."""
    until = time.monotonic() + seconds
    for one in processes:
        one.join(max(0.0, until - time.monotonic()))
    return [one.exitcode for one in processes]


def train(out: Path, ranks: int, told: dict[str, Any]) -> None:
    processes = start(out, ranks, told)
    codes = wait(processes)
    assert codes == [0] * ranks, "\n".join(said(out, rank) for rank in range(ranks))


def said(out: Path, rank: int) -> str:
    return Path(out, f"said-{rank}.txt").read_text()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def hashes(out: Path, ranks: int) -> list[list[str]]:
    """Of gradients and weights after each step, by rank."""
    return [json.loads((out / f"hashes-{rank}.json").read_text()) for rank in range(ranks)]


class Seen:
    """What the forwards of one rank gave, in their order."""

    def __init__(self, out: Path, rank: int) -> None:
        with np.load(out / f"truth-{rank}.npz") as found:
            self.rows = found["rows"]
            self.step, self.label, self.id = found["known"].T


def window_of(seen: list[Seen], index: int, share: int) -> tuple[int, Moments]:
    """Step and moments of one window, as one process over all ranks' samples would have them."""
    part = slice(index * share, (index + 1) * share)
    rows = np.concatenate([one.rows[part] for one in seen])
    labels = np.concatenate([one.label[part] for one in seen]).astype(np.int64)
    (step,) = {int(one.step[part][-1]) for one in seen}
    return step, Moments.from_samples(rows, labels, 3)
