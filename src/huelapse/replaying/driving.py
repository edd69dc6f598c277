"""Hands tasks to an engine, and commits what comes back while the next are running."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from huelapse.errors import HuelapseError, PlaceError, ReplayError, RunLockedError
from huelapse.replaying import reading
from huelapse.replaying.asked import Asked
from huelapse.replaying.beginning import file_of, of_all_parts
from huelapse.replaying.checkpoints import Unusable, is_address, with_steps
from huelapse.replaying.committing import Committer, Standing, explained
from huelapse.replaying.engines import Engine, Result, Task
from huelapse.replaying.forecast import ReplayForecast
from huelapse.replaying.in_bucket import InBucket
from huelapse.replaying.named import Named
from huelapse.replaying.naming import identity_at, key_of
from huelapse.replaying.report import Failed, Happening, Report, Watch
from huelapse.replaying.shards import Shard
from huelapse.replaying.steps import StepFrom
from huelapse.schema import RunState
from huelapse.store import StoreReader
from huelapse.store.partial import PARTIAL


class Driver:
    """One replay."""

    def __init__(
        self,
        *,
        asked: Asked,
        run: Path,
        report: Report,
        progress: Watch | None,
        name: str,
        shard: Shard | None,
        committing: bool,
        bucket: InBucket | None = None,
    ) -> None:
        """
        Args:
            asked: what is replayed.
            run: the run's directory.
            report: filled in as things happen.
            progress: called in this thread.
            name: of a run that is begun.
            shard: which tasks are this process's; None for all.
            committing: whether snapshots are made of what comes back.
            bucket: where parts are handed over; None where workers write them into the run's directory.
        """
        self._asked, self._run, self._report = asked, run, report
        self._progress, self._shard, self._committing = progress, shard, committing
        self._bucket = bucket
        self._committer = Committer(run, asked.split, asked.digest, asked.parts, name=name)
        self._pending: list[tuple[Task, Future[None]]] = []
        self._samples = self._done = self._all = self._forwarded = 0
        self._forecast: ReplayForecast | None = None
        self._paths: dict[int, dict[int, Path]] = {}
        self._failed: set[int] = set()

    def tasks(
        self, places: Sequence[str], step: StepFrom, fetch: Named | None, there: Standing | None
    ) -> list[Task]:
        """What is to be done; what is in the run, or cannot be done, is reported.

        Raises:
            ReplayError, FactoryError: as `checkpoints.with_steps`; nobody fetches addresses.
        """

        def inside(place: str) -> Mapping[str, Any]:
            return {} if is_address(place) else reading.said_inside(Path(place))

        found, unusable = with_steps(places, step, inside)
        self._report.checkpoints = len(found) + len(unusable)
        if fetch is None and any(one.remote for one in found):
            raise ReplayError(
                "addresses are named, and nobody says how to fetch them: --fetch module:function, "
                "which is given an address and gives a local path"
            )
        parts = self._asked.parts
        every = [
            Task(place=one.place, step=one.step, part=part, parts=parts)
            for one in found
            for part in range(parts)
        ]
        own = every if self._shard is None else self._shard.own(every)
        left_out: set[str] = set()
        for one in found:
            known = there.keys.get(one.step) if there is not None else None
            if known is None:
                continue
            try:
                key = key_of(self._asked.digest, identity_at(one.place), one.step)
            except HuelapseError as error:
                unusable.append(Unusable(one.place, str(error), one.step))
                left_out.add(one.place)
                continue
            if key == known:
                self._report.already += 1
                left_out.add(one.place)
        for one in unusable:
            self._fail(one.place, one.step, one.why)
        return [task for task in own if task.place not in left_out]

    def run(self, tasks: Sequence[Task], engine: Engine) -> None:
        """Do them all. After an exception, such as Ctrl-C, what is committed stays, and the run is
        marked as interrupted.

        Raises:
            RunLockedError: another process writes the run.
        """
        self._all = len(tasks)
        state: RunState = "interrupted"
        results = iter(engine.run(tasks, self._counted))
        try:
            with ThreadPoolExecutor(1, thread_name_prefix="huelapse-commit") as committing:
                try:
                    for result in results:
                        self._take(result, committing)
                        self._collect(wait=False)
                        self._tell()
                finally:
                    close = getattr(results, "close", None)
                    if close is not None:
                        close()  # workers first: what they write is whole or not there
            self._collect(wait=True)
            self._tell()
            if not self._report.failed and not self._report.waiting:
                state = "complete"
        finally:
            with suppress(HuelapseError, OSError):
                self._collect(wait=True)  # after Ctrl-C, what was under way has ended by now
            with suppress(HuelapseError, OSError):
                self._committer.close(state)

    def settle(self) -> None:
        """Mark a run as complete whose replay was killed once all of it was committed."""
        parts = self._asked.parts
        with suppress(HuelapseError, OSError):  # it is being written: by who will mark it
            left = of_all_parts(self._run, self._asked.digest, parts) is not None
            if left and StoreReader(self._run).attributes["state"] != "complete":
                self._committer.begin()
                self._committer.close("complete")

    def _counted(self, samples: int) -> None:
        self._samples += samples
        self._collect(wait=False)
        self._tell()

    def _tell(self) -> None:
        if self._progress is not None:
            self._progress(
                Happening(
                    samples=self._samples,
                    done=self._done,
                    tasks=self._all,
                    report=self._report,
                    expected=self._expected(),
                    forecast=self._forecast,
                )
            )

    def _expected(self) -> int | None:
        """As much for each of the others as for those that are done."""
        if not self._forwarded:
            return None
        left = self._all - self._done
        return round(self._report.samples * (1 + left / self._forwarded))

    def _take(self, result: Result, committing: ThreadPoolExecutor) -> None:
        task = result.task
        self._done += 1
        self._report.samples += result.samples
        self._forwarded += result.samples > 0
        if result.forecast is not None:
            self._forecast = ReplayForecast.from_json(result.forecast)
        if result.path is None:
            self._fail(task.place, task.step, result.error or "no reason was told", result.tries)
            return
        path = Path(result.path)
        if self._bucket is not None:
            path = self._run / PARTIAL / path.name  # which is on another machine
        elif not path.is_file():
            self._fail(
                task.place,
                task.step,
                f"its worker wrote {path}, which is not there for the one that commits: the run's "
                f"directory must be on a disk that all of them share",
            )
            return
        self._report.recorded += not self._committing
        if not self._committing:
            return
        own = self._paths.setdefault(task.step, {})
        own[task.part] = path
        if len(own) == task.parts:
            done = committing.submit(self._commit, list(own.values()))
            self._pending.append((task, done))
            del self._paths[task.step]

    def _commit(self, paths: Sequence[Path]) -> None:
        if self._bucket is None:
            self._committer.commit(paths)
            return
        beginnings = [
            file_of(self._run, self._asked.digest, p, len(paths)) for p in range(len(paths))
        ]
        odd = self._bucket.fetch_small(self._run, [p.name for p in beginnings if not p.is_file()])
        if odd:
            raise ReplayError("; ".join(odd.values()))
        self._bucket.commit(self._committer, paths)

    def _collect(self, *, wait: bool) -> None:
        """What has been committed meanwhile."""
        while self._pending and (wait or self._pending[0][1].done()):
            task, done = self._pending.pop(0)
            error = done.exception()
            if error is None:
                self._report.committed.append(task.step)
            elif isinstance(error, RunLockedError | PlaceError) or not isinstance(error, Exception):
                raise error
            else:
                self._fail(task.place, task.step, explained(error))

    def _fail(self, place: str, step: int | None, why: str, tries: int = 1) -> None:
        if step is not None and step in self._failed:
            return  # another part of it
        if step is not None:
            self._failed.add(step)
        self._report.failed.append(Failed(checkpoint=place, step=step, why=why, tries=tries))
