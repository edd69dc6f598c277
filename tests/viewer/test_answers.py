"""Answers are made once for all who ask, and a failure is nobody else's."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

import pytest
from viewing import TOKEN, served

import huelapse
from conftest import SmallNet, batches
from huelapse.viewer.answers import Answers
from huelapse.viewer.server import passes

MANY = 8


@pytest.fixture
def small_run(tmp_path: Path) -> huelapse.Run:
    recorder = huelapse.Recorder(SmallNet(), tmp_path / "run", probe=batches(), classes=3)
    recorder.close()
    return huelapse.open(tmp_path / "run")


def test_many_who_ask_at_once_wait_for_one() -> None:
    answers, began, made = Answers(), threading.Barrier(MANY), []

    def make() -> tuple[bytes, str]:
        made.append(1)
        time.sleep(0.2)  # the others are here by now
        return b"x" * 5000, "application/octet-stream"

    def ask(_: int) -> bytes:
        began.wait(10)
        return answers.find("key", make).content

    with ThreadPoolExecutor(MANY) as pool:
        assert set(pool.map(ask, range(MANY))) == {b"x" * 5000}
    assert len(made) == 1


def test_who_waited_for_a_failure_tries_again() -> None:
    answers, began, tries = Answers(), threading.Event(), []

    def fails() -> tuple[bytes, str]:
        began.set()
        time.sleep(0.2)
        raise OSError("gone")

    def works() -> tuple[bytes, str]:
        tries.append(1)
        return b"here", "text/plain"

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(answers.find, "key", fails)
        assert began.wait(10)
        second = pool.submit(answers.find, "key", works)
        with pytest.raises(OSError, match="gone"):
            first.result(10)
        assert second.result(10).content == b"here"
    assert len(tries) == 1


def test_memory_holds_what_was_asked_for_last() -> None:
    answers, made = Answers(most_bytes=4000), []

    def get(name: str, size: int = 900) -> None:
        def make() -> tuple[bytes, str]:
            made.append(name)
            return name.encode() * size, "font/woff2"  # never packed: its size is known

        answers.find(name, make)

    for name in "abcd":
        get(name)
    get("a")  # is there, and becomes the newest
    get("e")  # pushes b out
    assert made == list("abcde")
    get("a")
    get("b")
    assert made == list("abcdeb")
    get("z", 1001)  # more than a quarter of the memory: given, and not kept
    get("z", 1001)
    get("a")
    assert made == [*"abcdeb", "z", "z"]


def test_what_changes_has_another_tag_and_small_things_are_not_packed() -> None:
    answers = Answers()
    one = answers.find(1, lambda: (b"a" * 2000, "text/css"))
    two = answers.find(2, lambda: (b"b" * 2000, "text/css"))
    small = answers.find(3, lambda: (b"a", "text/css"))
    assert one.tag != two.tag
    assert one.packed is not None and len(one.packed) < 100
    assert small.packed is None


def test_a_small_answer_does_not_wait_for_an_acknowledgement(small_run: huelapse.Run) -> None:
    """Head and body leave in two pieces: with Nagle's algorithm the second waits some 40 ms, while
    a large one goes at once."""
    with served(small_run) as address:
        port = address.split("/?")[0].rsplit(":", 1)[1]
        connection = HTTPConnection("127.0.0.1", int(port), timeout=30)

        def took(path: str) -> float:
            began = time.perf_counter()
            connection.request("GET", path, headers={"Cookie": f"huelapse-{port}={TOKEN}"})
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200
            return time.perf_counter() - began

        small, large = (
            sorted(took(path) for _ in range(15))[5] for path in ("/main.css", "/main.js")
        )
        connection.close()
    assert small < 10 * large


@pytest.mark.parametrize(
    ("resource", "passing"),
    [
        ("manifest.json", True),
        ("live.json", True),
        ("palette.st", False),
        ("val/geometry.st", True),
        ("val/true/compare/abc/val/true.json", True),
        ("val/scalars.st", False),
        ("val/true/margin/summary.st", False),
    ],
)
def test_what_may_change_without_a_commit_is_never_kept(resource: str, passing: bool) -> None:
    assert passes(resource) is passing
