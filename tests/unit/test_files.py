"""Files that moie makes: whole, private, there after a power cut, also where a file can have one name only."""

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from moie_worker.adapters import files
from moie_worker.adapters.files import create_private, write_private
from moie_worker.doors.cli.files import write_lines
from moie_worker.errors import InputError


@pytest.fixture(params=[errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS], ids=errno.errorcode.get)
def one_name_only(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """A file system as vfat, SMB or one of FUSE."""

    def link(*_: Any, **__: Any) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(os, "link", link)


@pytest.mark.usefixtures("one_name_only")
def test_a_private_file_is_made_once_where_files_have_one_name_only(tmp_path: Path) -> None:
    path = tmp_path / "key"
    create_private(path, "first")
    with pytest.raises(FileExistsError):
        create_private(path, "second")
    assert path.read_text() == "first"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.usefixtures("one_name_only")
def test_lines_are_exported_where_files_have_one_name_only(tmp_path: Path) -> None:
    path = tmp_path / "receipts.jsonl"
    write_lines(path, ["a", "b"], force=False)
    with pytest.raises(InputError, match="is there already"):
        write_lines(path, ["c"], force=False)
    assert path.read_text() == "a\nb\n"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("write", [create_private, write_private])
def test_the_name_of_a_file_survives_a_power_cut(write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, made_sure = tmp_path / "key", []

    def fsync(descriptor: int) -> None:
        made_sure.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), path.exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    write(path, "secret")
    assert made_sure == [(False, False), (True, True)]


@pytest.mark.parametrize("code", sorted(files.NO_SYNC), ids=errno.errorcode.get)
def test_a_file_system_that_cannot_make_sure_of_names_is_used_all_the_same(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fsync)
    create_private(tmp_path / "key", "secret")
    assert (tmp_path / "key").read_text() == "secret"


def test_a_full_disk_is_told_with_the_file_that_it_did_not_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=rf"{tmp_path}.*key"):
        write_private(tmp_path / "key", "secret")
    assert list(tmp_path.iterdir()) == []
