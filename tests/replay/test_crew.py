"""Who does what on a cluster when workers are lost, hang or cannot be used. Ray is played."""

import itertools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from huelapse.errors import HuelapseWarning, ReplayError
from huelapse.replaying.engines import Result, Task
from huelapse.replaying.engines import crew as engine
from huelapse.replaying.engines.order import Order

TASKS = [Task(place=f"{i}.pt", step=i) for i in range(4)]


class RayError(Exception):
    pass


class RayActorError(RayError):
    pass


class ActorDiedError(RayActorError):
    pass


NEVER = object()


class Ref:
    """What a call gives: a value, an error, or `NEVER`."""

    def __init__(self, value: Any) -> None:
        self.value = value


class Played:
    """As much of Ray as the crew uses. Each wait that gives nothing lets half a minute pass."""

    exceptions = SimpleNamespace(
        RayError=RayError, RayActorError=RayActorError, ActorDiedError=ActorDiedError
    )

    def __init__(self) -> None:
        self.now = 0.0
        self.alive = {"a", "b"}
        self.killed: list[Any] = []

    def wait(self, refs: list[Ref], *, num_returns: int, timeout: float) -> Any:
        ready = [ref for ref in refs if ref.value is not NEVER]
        if not ready:
            self.now += 30
        else:
            self.now += 0.01
        return ready[:num_returns], []

    def get(self, ref: Ref, *, timeout: float) -> Any:
        assert ref.value is not NEVER
        if isinstance(ref.value, Exception):
            raise ref.value
        return ref.value

    def kill(self, actor: Any, *, no_restart: bool) -> None:
        assert no_restart
        self.killed.append(actor)

    def nodes(self) -> list[dict[str, Any]]:
        return [{"NodeID": node, "Alive": True} for node in self.alive]

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 2.0}

    available_resources = cluster_resources


class Actor:
    """Does what `does` says of a task and of how often it was given to anybody."""

    def __init__(self, crew: "Played", number: int, given: list[Task], **answers: Any) -> None:
        self.number, self.given = number, given
        node = "ab"[number % 2]
        self.host = f"host-{node}"
        told = {"life": str(number), "samples": 0, "seconds": 0.0, "node": node}
        greeting = answers.get("greet", {**told, "host": self.host, "unfit": None})
        self.greet = remote(lambda: greeting)
        self.told = remote(lambda: answers.get("told", told))
        self.close = remote(lambda: None)
        self.does: Callable[..., Any] = answers.get("does", lambda *_: None)
        self.do = remote(self._do)
        self._told = told

    def _do(self, task: dict[str, Any], then: str | None) -> Any:
        known = Task(**task)
        self.given.append(known)
        answer = self.does(known, self.given.count(known), self)
        if answer is not None:
            return answer
        self._told = {**self._told, "samples": self._told["samples"] + 10}
        result = Result(task=known, path=f"{known.step}.npz", samples=10)
        return {"result": result.as_json(), **self._told}


def remote(call: Callable[..., Any]) -> Any:
    method = SimpleNamespace(remote=lambda *a: Ref(call(*a)))
    method.options = lambda max_task_retries: method
    return method


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Played:
    ray = Played()
    clock = SimpleNamespace(
        monotonic=lambda: ray.now, sleep=lambda s: setattr(ray, "now", ray.now + s)
    )
    monkeypatch.setattr(engine, "time", clock)
    return ray


def serve(
    ray: Played,
    workers: int = 2,
    timeout: float | None = None,
    *kinds: dict[str, Any],
    **every: Any,
) -> tuple[dict[int, Result], list[Task], list[int]]:
    """Results by step, tasks as they were given, samples as they were told."""
    given: list[Task] = []
    numbers = itertools.count()

    def start() -> Actor:
        number = next(numbers)
        own = kinds[number] if number < len(kinds) else {}
        return Actor(ray, number, given, **{**every, **own})

    crew = engine.Crew(ray, start, workers, timeout)
    heard: list[int] = []
    results = {result.task.step: result for result in crew.serve(TASKS, heard.append)}
    crew.end()
    assert not crew._handles
    assert len(results) == len(TASKS)
    return results, given, heard


def test_every_task_is_given_once(played: Played) -> None:
    results, given, heard = serve(played)
    assert sorted(given, key=lambda task: task.step) == TASKS
    assert all(result.path and result.tries == 1 for result in results.values())
    assert sum(heard) == 40
    assert len(played.killed) == 2


def test_a_task_that_kills_its_workers_is_tried_three_times(played: Played) -> None:
    def does(task: Task, number: int, actor: Any) -> Any:
        return RayActorError("first\nit was killed") if task.step == 1 else None

    results, given, _ = serve(played, does=does)
    assert results[1].error == "its worker was lost: it was killed"
    assert results[1].tries == given.count(TASKS[1]) == 3
    assert len(played.killed) == 2  # Ray starts them again, nobody else
    assert all(results[step].path for step in (0, 2, 3))


def test_a_worker_that_was_lost_is_given_nothing_before_it_answers(played: Played) -> None:
    lost: list[int] = []

    def does(task: Task, number: int, actor: Any) -> Any:
        assert actor.number not in lost
        if task.step == 1 and number == 1:
            lost.append(actor.number)
            actor.greet = remote(lambda: NEVER)
            return RayActorError("temporarily unavailable")
        return None

    results, _, _ = serve(played, does=does)
    assert lost
    assert results[1].tries == 2
    assert all(result.path for result in results.values())


def test_an_actor_that_died_for_good_is_replaced_and_its_task_done_by_another(
    played: Played,
) -> None:
    def does(task: Task, number: int, actor: Any) -> Any:
        return ActorDiedError("gone") if task.step == 1 and number == 1 else None

    results, given, _ = serve(played, does=does)
    assert results[1].path
    assert results[1].tries == given.count(TASKS[1]) == 2
    assert len(played.killed) == 3


def test_failures_that_may_pass_are_tried_three_times(played: Played) -> None:
    def does(task: Task, number: int, actor: Any) -> Any:
        if task.step != 2:
            return None
        lasting = Result(task=task, error=f"disk away {number}", lasting=False)
        return {"result": lasting.as_json(), **actor._told}

    results, given, _ = serve(played, does=does)
    assert given.count(TASKS[2]) == 3
    assert (results[2].tries, results[2].error) == (3, "disk away 3")


def test_a_task_over_its_time_is_ended_with_its_worker(played: Played) -> None:
    def does(task: Task, number: int, actor: Any) -> Any:
        return NEVER if task.step == 0 else None

    told = {"life": "x", "samples": 0, "seconds": 61.0, "node": "a"}
    results, given, _ = serve(played, 2, 60.0, does=does, told=told)
    assert given.count(TASKS[0]) == 3
    assert results[0].error == "its worker was lost: it took longer than the time limit"
    assert all(results[step].path for step in (1, 2, 3))


def test_a_worker_whose_machine_is_gone_is_given_up_soon(played: Played) -> None:
    def does(task: Task, number: int, actor: Any) -> Any:
        if task.step == 0 and number == 1:
            played.alive -= {actor._told["node"]}
            return NEVER
        return None

    results, _, _ = serve(played, does=does, told=NEVER)
    assert results[0].tries == 2
    assert results[0].path
    assert played.now < 120


def test_a_worker_that_does_not_answer_is_given_up_late(played: Played) -> None:
    def does(task: Task, number: int, actor: Any) -> Any:
        return NEVER if task.step == 0 and number == 1 else None

    results, _, _ = serve(played, does=does, told=NEVER)
    assert results[0].path
    assert engine.SILENT < played.now < engine.SILENT + 120


def greeting(number: int, unfit: str | None) -> dict[str, Any]:
    node = "ab"[number % 2]
    told = {"life": str(number), "samples": 0, "seconds": 0.0, "node": node}
    return {"greet": {**told, "host": f"host-{node}", "unfit": unfit}}


def test_machines_that_do_not_see_the_run_are_named_and_not_used(played: Played) -> None:
    with pytest.warns(HuelapseWarning, match="workers on host-b are not used: /x does not exist"):
        results, given, _ = serve(played, 2, None, {}, greeting(1, "/x does not exist there"))
    assert len(given) == 4
    assert all(result.path for result in results.values())


def test_where_no_machine_sees_the_run_it_is_said(played: Played) -> None:
    kinds = [greeting(number, "/x does not exist there") for number in range(2)]
    with pytest.raises(ReplayError, match=r"on host-a, /x does.*on host-b, /x does"):
        serve(played, 2, None, *kinds)


def test_a_worker_that_begins_anew_where_the_run_is_not_seen_is_left(played: Played) -> None:
    def does(task: Task, number: int, actor: Any) -> Any:
        if task.step == 0 and number == 1:
            return {"unfit": "/x is another directory there than here", **actor._told}
        return None

    with pytest.warns(HuelapseWarning, match="another directory"):
        results, _, _ = serve(played, does=does)
    assert results[0].path


def test_without_any_worker_the_rest_is_reported(played: Played) -> None:
    def does(task: Task, number: int, actor: Any) -> Any:
        return None if task.step == 0 else {"unfit": "/x is away", **actor._told}

    results, _, _ = serve(played, 1, does=does)
    assert results[0].path
    for step in (1, 2, 3):
        assert "no worker is left: on host-a, /x is away" in str(results[step].error)


def test_actors_that_cannot_be_started_are_no_endless_loop(played: Played) -> None:
    with pytest.raises(ReplayError, match="no worker of the cluster can be used: no huelapse"):
        serve(played, 2, None, greet=RayActorError("no huelapse"))
    assert len(played.killed) <= 5


def test_a_cluster_without_room_is_waited_for_and_then_given_up(played: Played) -> None:
    with (
        pytest.warns(HuelapseWarning, match="no worker is there yet; the cluster has 2 of 2 CPU"),
        pytest.raises(ReplayError, match="none has started for 600 s"),
    ):
        serve(played, 2, None, greet=NEVER)


def test_parts_go_to_the_worker_that_has_the_checkpoint() -> None:
    tasks = [Task(place=p, step=i, part=n, parts=2) for i, p in enumerate("abc") for n in range(2)]
    order = Order(tasks)
    one, then = order.next(None, [None])
    assert (one.place, one.part, then) == ("a", 0, "c")
    other, then = order.next(None, ["a"])
    assert (other.place, then) == ("b", "c")
    assert order.next("a", ["b"])[0] == tasks[1]
    assert order.next("a", ["b"])[0].place == "c"
    last = order.next("c", ["b"])
    assert last[0].place == "c"
    assert order.next("c", ["b"])[0].place == "b"  # somebody else has it, but nobody is idle
    far = Order([tasks[0], tasks[2], tasks[1]])
    assert [far.next(place, [])[0] for place in (None, "a", "a")] == tasks[:1] + tasks[1:3]
    order.again(one)
    assert order.drain() == [one]
    assert not order
