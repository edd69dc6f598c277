"""What is committed survives a power cut: every file and directory is synced, and in order.

Spied on in Python. Shards are synced by TensorStore, which is asked whether it would.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import tensorstore
from extra_run import begin, snapshot, split, static


@dataclass
class Disk:
    """Syncs and renames, in the order they were asked for."""

    events: list[tuple[str, Any]] = field(default_factory=list)

    def inode_of(self, path: Path) -> tuple[str, Any]:
        found = path.stat()
        return "sync", (found.st_dev, found.st_ino)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    fsync, replace = os.fsync, os.replace

    def spied_fsync(descriptor: int) -> None:
        fsync(descriptor)
        found = os.fstat(descriptor)  # an inode keeps its number when it is renamed
        disk.events.append(("sync", (found.st_dev, found.st_ino)))

    def spied_replace(source: Any, target: Any) -> None:
        replace(source, target)
        disk.events.append(("replace", Path(target)))

    monkeypatch.setattr(os, "fsync", spied_fsync)
    monkeypatch.setattr(os, "replace", spied_replace)
    return disk


def test_a_commit_syncs_each_group_file_before_its_rename_and_the_directory_after(
    run_path: Path, disk: Disk
) -> None:
    store = begin(run_path)
    store.add_split(split(), static())
    for step in range(3):
        disk.events.clear()
        store.commit(snapshot(step))
        expected: list[tuple[str, Any]] = []
        for group in (run_path / "run.zarr/val", run_path / "run.zarr"):  # the root's is the commit
            file = group / "zarr.json"
            expected += [disk.inode_of(file), ("replace", file), disk.inode_of(group)]
        assert disk.events == expected
    store.close()


def test_every_directory_a_run_is_made_of_is_synced_after_it_was_made(
    tmp_path: Path, disk: Disk
) -> None:
    place = tmp_path / "several/above/run"
    store = begin(place)
    made = [tmp_path, tmp_path / "several", tmp_path / "several/above", place]
    for directory in made:  # each holds the next one's name
        assert disk.inode_of(directory) in disk.events, directory
    disk.events.clear()
    store.add_split(split(), static())
    store.commit(snapshot(0))
    store.close()
    root = place / "run.zarr"
    for directory in (root, root / "val", root / "val/true", root / "val/true/maps"):
        assert disk.inode_of(directory) in disk.events, directory


def test_shards_are_written_and_synced_before_anything_names_them(
    run_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = begin(run_path)
    store.add_split(split(), static())
    there: list[int] = []
    spied = os.replace

    def look(source: Any, target: Any) -> None:
        there.append(len([p for p in (run_path / "run.zarr").rglob("c.*") if p.is_file()]))
        spied(source, target)

    monkeypatch.setattr(os, "replace", look)
    store.commit(snapshot(0))
    assert len(there) == 2
    assert there[0] == there[1] == len(list((run_path / "run.zarr").rglob("c.*"))) > 20
    for path, (_, array) in store._arrays._open.items():
        own: Any = array.kvstore.spec(retain_context=True).to_json(include_defaults=True)
        assert own.get("context", {}).get("file_io_sync", True) is True, path
    assert tensorstore.Context()["file_io_sync"].to_json() is True
    store.close()
