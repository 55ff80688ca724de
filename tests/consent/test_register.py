"""The register of erasures: durable, append-only, and about nobody for whoever has not the secret."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.local import LocalFileSystem

from consent.register import EVERYTHING, Entry, Register, RegisterUnreadable

NOON = 1_795_348_800_000_000
DAY = 86_400_000_000
SECRET = bytes(32)


def entry(number: int, *keys: str, at: int = NOON, app_id: str = "harbour") -> Entry:
    """An entry."""
    return Entry(app_id, f"{number:032x}", EVERYTHING, at, list(keys))


@pytest.fixture
def register(tmp_path: Path) -> Register:
    """A register in a folder that is not there yet."""
    return Register(str(tmp_path / "deep" / "register"), SECRET)


def test_what_is_added_is_listed_and_read(register: Register) -> None:
    """Entries come back as they were, the oldest day first; nothing is there before the first."""
    assert register.entries() == []
    later, first = entry(1, "a", "b", at=NOON + DAY), entry(2, "c", app_id="odd/name~x")
    register.add(later)
    register.add(first)
    assert [register.read(each) for each in register.entries()] == [first, later]


def test_any_file_system_will_do() -> None:
    """An object store holds it as well."""
    register = Register("memory://register-of-test", SECRET)
    register.add(entry(1, "a"))
    assert [register.read(each) for each in register.entries()] == [entry(1, "a")]
    register.prune(register.entries())
    assert register.entries() == []


def test_it_is_synced_before_it_returns(register: Register, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file, its new folders and the folder that names it are synced, the file before it gets its name."""
    synced: list[str] = []
    names = {}

    def fsync(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        names[synced[-1]] = [path.suffix for path in Path(register.url).rglob("*~*")]

    monkeypatch.setattr(os, "fsync", fsync)
    register.add(entry(1, "a"))
    (part,) = [path for path in synced if path.endswith(".part")]
    assert names[part] == [".part"]
    assert synced[-1] == str(Path(part).parent)
    assert names[synced[-1]] == [".json"]
    assert {str(Path(register.url).parent), register.url} <= set(synced)


def test_what_a_crash_left_half_written_is_no_entry(register: Register) -> None:
    """A file that never got its name counts for nothing."""
    register.add(entry(1, "a"))
    (file,) = Path(register.url).rglob("*.json")
    file.rename(file.with_suffix(".part"))
    assert register.entries() == []


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"{}", b"\xff", b'{"app": "harbour"}'])
def test_a_damaged_entry_is_told(register: Register, damage: bytes) -> None:
    """An entry that cannot be read stops whoever reads it: nobody knows who it is about."""
    register.add(entry(1, "a"))
    (file,) = Path(register.url).rglob("*.json")
    file.write_bytes(damage)
    (listed,) = register.entries()
    with pytest.raises(RegisterUnreadable):
        register.read(listed)


def test_another_secret_is_told(register: Register) -> None:
    """Under another secret no key would match anybody, and everybody would come back: that is refused."""
    register.add(entry(1, "a"))
    other = Register(register.url, bytes([1] * 32))
    with pytest.raises(RegisterUnreadable, match="another secret"):
        other.read(other.entries()[0])


def test_keys_say_nothing_without_the_secret(register: Register) -> None:
    """Keys differ by app, row, cell and secret; one of nobody is random, and looks the same."""
    other = Register(register.url, bytes([1] * 32))
    keys = [
        register.of_person("harbour", "s1"), register.of_person("harbour", "s2"), register.of_person("meadow", "s1"),
        other.of_person("harbour", "s1"), register.of_person("harbour", None), register.of_person("harbour", None),
        register.of_grant("harbour", "r1", "views", "improve"), register.of_grant("harbour", "r1", "views", "measure"),
    ]  # fmt: skip
    assert len(set(keys)) == len(keys)
    assert {len(key) for key in keys} == {64}
    assert register.of_person("harbour", "s1") == keys[0]
    register.add(entry(1, keys[0]))
    (file,) = Path(register.url).rglob("*.json")
    assert "s1" not in file.read_text()
    assert set(json.loads(file.read_text())) == {
        "format", "secret", "erasure_id", "app", "kind", "requested_at", "keys",
    }  # fmt: skip


def test_pruning_removes_files_and_empty_days(register: Register) -> None:
    """What is pruned is gone, with its day's folder when that is empty; the rest stays."""
    for number, at in enumerate((NOON, NOON, NOON + DAY)):
        register.add(entry(number, "a", at=at))
    first, *rest = register.entries()
    register.prune([first])
    assert register.entries() == rest
    register.prune(rest[:1])
    assert register.entries() == rest[1:]
    assert len(list(Path(register.url).iterdir())) == 1


def test_a_day_that_cannot_be_looked_at_is_no_empty_day(
    register: Register, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the folder of one day cannot be listed, the register is not read as though nobody had left on it."""
    register.add(entry(1, "a"))
    (day,) = {path.parent for path in tmp_path.rglob("*.json")}
    listed = LocalFileSystem.ls

    def closed(self: LocalFileSystem, path: str, *arguments: Any, **more: Any) -> Any:
        if Path(str(path)) == day:
            raise PermissionError(path)
        return listed(self, path, *arguments, **more)

    monkeypatch.setattr(LocalFileSystem, "ls", closed)
    with pytest.raises(PermissionError):
        register.entries()
