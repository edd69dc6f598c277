"""Servers of a run's files: plain HTTP, and of S3 as much as reading objects takes."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

from served_bucket import KEY, S3, Served, serving

__all__ = ["KEY", "s3", "serving", "web"]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def web(folder: Path) -> Iterator[str]:
    with serving(partial(Quiet, directory=str(folder))) as address:
        yield address


@contextmanager
def s3(folder: Path, asked: list[str]) -> Iterator[str]:
    """Every folder below `folder` is a bucket; nothing may be listed or changed."""
    served = Served(folder=folder, asked=asked, writable=False)
    with serving(partial(S3, served)) as address:
        yield address
