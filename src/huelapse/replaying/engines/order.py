"""Which task a worker is given next."""

from collections.abc import Collection, Sequence

from huelapse.replaying.engines import Task


class Order:
    """Tasks that nobody has. A worker is given parts of the checkpoint that it has loaded, else of one
    that nobody else has, else any: weights are read as seldom as can be, and no worker is idle."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._waiting = list(tasks)

    def __len__(self) -> int:
        return len(self._waiting)

    def again(self, task: Task) -> None:
        """It is to be done anew, before the others."""
        self._waiting.insert(0, task)

    def next(self, place: str | None, others: Collection[str | None]) -> tuple[Task, str | None]:
        """A task, and the place of the checkpoint that will probably be this worker's next.

        Args:
            place: of the checkpoint it has; None for none.
            others: those that the other workers have.

        Raises:
            IndexError: nothing waits.
        """
        taken = set(others)
        task = next((t for t in self._waiting if t.place == place), None)
        task = task or next((t for t in self._waiting if t.place not in taken), self._waiting[0])
        self._waiting.remove(task)
        taken |= {task.place, place}
        places = list(dict.fromkeys(t.place for t in self._waiting if t.place not in taken))
        # others take what comes first; what is left for this one stands as far behind
        ahead = min(len(others), len(places) - 1)
        return task, places[ahead] if places else None

    def drain(self) -> list[Task]:
        """All that waited; nothing does any more."""
        left, self._waiting = self._waiting, []
        return left
