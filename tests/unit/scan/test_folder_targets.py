"""Folders on their way to the engine: what of them cannot be read is told."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest
from tests.go_build_infos import inline
from tests.written_executables import elf

from openecr.scan.indexing import Indexer, IndexingFailed
from openecr.scan.limits import LIMITS, LimitExceeded, Limits
from openecr.scan_targets.folder import read_folder
from openecr.scan_targets.reading import local_path
from openecr.scan_targets.target import Target

LOCK = json.dumps({"lockfileVersion": 3, "packages": {"node_modules/leftish": {"version": "4.0.0"}}})


def read(folder: Path, limits: Limits = LIMITS) -> Target:
    async def once() -> Target:
        async with Indexer() as indexer:
            return await read_folder(folder, indexer, development=False, limits=limits)

    return asyncio.run(once())


def names(target: Target) -> list[str]:
    return [item.package.name for item in target.inventory.packages]


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "package-lock.json").write_text(LOCK)
    return tmp_path


def refusing(monkeypatch: pytest.MonkeyPatch, function: str, refused: Path) -> None:
    """Let a function of the system refuse one path, as it does whoever may not read it."""
    real = getattr(os, function)

    def guarded(path: Any, *more: Any, **named: Any) -> Any:
        if str(path) == str(refused):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *more, **named)

    monkeypatch.setattr(os, function, guarded)


def test_a_file_that_may_not_be_read(app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refusing(monkeypatch, "open", app / "package-lock.json")

    target = read(app)

    assert names(target) == []
    assert target.gaps == ("1 files and folders could not be read: package-lock.json: Permission denied.",)


def test_a_folder_that_may_not_be_read(app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (app / "private").mkdir()
    refusing(monkeypatch, "scandir", app / "private")

    target = read(app)

    assert names(target) == ["leftish"]
    assert target.gaps == ("1 files and folders could not be read: private: Permission denied.",)


def test_a_file_that_becomes_shorter(app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Longer:
        """An entry that was longer when it was looked at."""

        def __init__(self, entry: "os.DirEntry[str]") -> None:
            self.name, self._entry = entry.name, entry

        def stat(self, *, follow_symlinks: bool) -> os.stat_result:
            fields = list(self._entry.stat(follow_symlinks=follow_symlinks))
            fields[6] += 5_000_000
            return os.stat_result(fields)

    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: [Longer(entry) for entry in scandir(path)])

    target = read(app)

    assert any("package-lock.json: it became shorter while it was read" in gap for gap in target.gaps)


def test_a_file_that_is_larger_than_is_read(app: Path) -> None:
    target = read(app, Limits(file_bytes=10))

    assert names(target) == []
    assert target.gaps == ("1 files and folders could not be read: package-lock.json: larger than 10 bytes.",)


def test_more_entries_than_are_read(app: Path) -> None:
    for number in range(20):
        (app / f"{number}.txt").write_text("x")

    with pytest.raises(LimitExceeded, match="more than 10 entries"):
        read(app, Limits(entries=10))


def test_names_that_are_no_utf_8_and_long_ones(app: Path) -> None:
    folder = os.fsencode(app) + b"/\xff\x1b" + b"/".join([b"", *[b"d" * 50] * 4])
    os.makedirs(folder)
    with open(folder + b"/package-lock.json", "w") as file:
        file.write(LOCK.replace("leftish", "other"))

    target = read(app)

    assert sorted(names(target)) == ["leftish", "other"]
    assert target.gaps == ()


def test_programs_are_found_by_their_first_bytes(app: Path) -> None:
    (app / "tool").write_bytes(elf({".go.buildinfo": inline("go1.22.5")}))
    (app / "note").write_bytes(b"text" * 20)

    assert sorted(names(read(app))) == ["leftish", "stdlib"]


def test_an_empty_folder_has_nothing(tmp_path: Path) -> None:
    assert names(read(tmp_path)) == []


def test_a_folder_deeper_than_is_read(tmp_path: Path) -> None:
    folder = tmp_path
    for _ in range(260):
        folder = folder / "d"
    os.makedirs(folder)
    (folder / "package-lock.json").write_text(LOCK)

    with pytest.raises(IndexingFailed, match="more than 256 directories deep"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("text", "is_path"),
    [("/absent", True), ("./absent", True), ("~/absent", True), (".", True), ("team/app:v1", False), ("absent", False)],
)
def test_what_is_a_path(text: str, is_path: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert (local_path(text) is not None) == is_path
    (tmp_path / "absent").mkdir()
    assert local_path("absent") == Path("absent")
