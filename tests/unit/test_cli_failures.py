"""What a file or a disk refuses is told as such, and is no fault of moie."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from moie_worker.adapters import control
from moie_worker.adapters.home import Home
from moie_worker.adapters.keys import KeyFolder, Role
from moie_worker.doors.cli.failures import report
from moie_worker.doors.cli.main import moie
from moie_worker.errors import InputError
from tests.user_kit import UID, place_of_other

READ_ONLY = 0o555


@contextmanager
def ordinary() -> Iterator[None]:
    """As a user whom modes of files bind."""
    before = os.geteuid()
    os.seteuid(UID)
    try:
        yield
    finally:
        os.seteuid(before)


@pytest.fixture
def closed() -> Iterator[Path]:
    """A directory that its user may look at and not write to."""
    with place_of_other() as place:
        place.chmod(READ_ONLY)
        yield place


@pytest.mark.parametrize(
    "code", [errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENAMETOOLONG, errno.EISDIR],
    ids=errno.errorcode.get,
)  # fmt: skip
def test_what_a_file_refuses_is_told_with_its_name_and_what_to_do(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MOIE_HOME", str(tmp_path))
    assert report(OSError(code, os.strerror(code), b"/srv/moie.lock")) == InputError.exit_code
    said = capsys.readouterr().err
    assert said.startswith(f"Error: /srv/moie.lock: {os.strerror(code)}. ")
    assert "fault of moie" not in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "error", [OSError(errno.EACCES, "no"), OSError(errno.EBADF, "no", "x"), OSError("no")], ids=repr
)
def test_what_no_file_refused_is_a_fault_of_moie(
    error: OSError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MOIE_HOME", str(tmp_path))
    assert report(error) == 70
    assert "fault of moie" in capsys.readouterr().err
    assert type(error).__name__ in (tmp_path / "logs" / "errors.log").read_text()


def test_a_home_that_may_not_be_written_is_wrong_input(closed: Path) -> None:
    with ordinary(), pytest.raises(InputError, match=rf"MOIE_HOME: {closed}: cannot be read and written. Use a dir"):
        Home(closed).prepare()
    closed.chmod(0o755)
    with ordinary():
        Home(closed).prepare()
    (closed / "logs").chmod(READ_ONLY)
    with ordinary(), pytest.raises(InputError, match=rf"{closed}/logs: cannot be read and written"):
        Home(closed).prepare()


def test_a_folder_for_keys_that_may_not_be_written_is_wrong_input(closed: Path) -> None:
    with ordinary(), pytest.raises(InputError, match=rf"^{closed}: Permission denied. Set MOIE_KEYS to"):
        KeyFolder(closed).make("ops", Role.AUTHOR)


def test_what_detached_processes_cannot_write_is_told_before_they_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("was started"))
    home = Home(tmp_path)
    home.prepare()
    (home.logs / "detached.log").mkdir()
    with pytest.raises(IsADirectoryError, match=r"detached\.log"):
        control.detach(home, lambda _: pytest.fail("was run"))


def test_a_lock_of_another_user_is_named(closed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed.chmod(0o755)
    (closed / "moie.lock").touch(mode=0o400)
    os.chown(closed / "moie.lock", UID, -1)
    monkeypatch.setenv("MOIE_HOME", str(closed))
    CliRunner().invoke(moie, ["down", "--help"])  # imported by a user who may read the sources
    with ordinary():
        done = CliRunner().invoke(moie, ["down"])
    assert done.exit_code == InputError.exit_code
    assert f"Error: {closed}/moie.lock: Permission denied. " in done.stderr
