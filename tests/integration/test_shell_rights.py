"""What commands are held in and who they run as: no new privileges, PID namespaces, other users.

Some need what only root may do. Without it they are left out of `make test`, as all that needs what is not everywhere.
"""

import os
import pwd
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from moie_worker.adapters.privileges import Capability, capable
from moie_worker.adapters.shell import ShellRunner
from moie_worker.adapters.shell_children import children_here
from moie_worker.adapters.shell_programs import Programs, found_programs
from moie_worker.adapters.shell_rights import Rights
from moie_worker.adapters.shell_space import Space
from moie_worker.adapters.shell_spaces import try_namespaces
from moie_worker.adapters.shell_user import can_become_others
from moie_worker.plan.states import Outcome
from moie_worker.ports import Command, Evidence
from tests.shell_kit import alive, command, guard_of, hidden, is_alive, sleepers, wait_until, worker, zombies
from tests.user_kit import can_be_had

KINDS = ["entered"] * capable(Capability.SYS_ADMIN) + ["kept"] * can_be_had() or ["entered"]
NAMESPACES = pytest.mark.integration if not try_namespaces().why_not else pytest.mark.whole
USERS = pytest.mark.integration if can_become_others() else pytest.mark.whole
pytestmark = pytest.mark.integration

NOBODY = "nobody"


@pytest.fixture(autouse=True)
def collected() -> None:
    """A runner makes this process inherit orphans: those of workers that earlier tests killed are not this test's."""
    for pid in zombies():
        os.waitpid(pid, os.WNOHANG)


def in_thread(work: Callable[[], Evidence]) -> Evidence:
    """What a thread of its own gives up is not given up by this one."""
    found: list[Evidence] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    return found[0]


@pytest.fixture
def made() -> Iterator[Callable[[Rights], ShellRunner]]:
    runners: list[ShellRunner] = []

    def make(rights: Rights) -> ShellRunner:
        runners.append(ShellRunner(os.environ, rights=rights))
        return runners[-1]

    yield make
    for runner in runners:
        runner.close()


@pytest.fixture(params=KINDS)
def apart(
    made: Callable[[Rights], ShellRunner], request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> ShellRunner:
    """Its commands run in namespaces that are entered, as for root, or kept by a program of ours, as for others."""
    monkeypatch.setattr("moie_worker.adapters.shell_spaces.is_ours_to_enter", lambda: request.param == "entered")
    return made(Rights(apart=True))


@pytest.fixture
def as_nobody(made: Callable[[Rights], ShellRunner]) -> ShellRunner:
    return made(Rights(users=frozenset({NOBODY})))


# -- no new privileges --------------------------------------------------------------------------------


@pytest.mark.parametrize(("given_up", "shown"), [(True, "1"), (False, "0")])
def test_commands_gain_no_privileges_unless_they_may(
    made: Callable[[Rights], ShellRunner], given_up: bool, shown: str
) -> None:
    runner = made(Rights(no_new_privileges=given_up))
    read = command("grep NoNewPrivs /proc/self/status", "t-privileges")
    assert in_thread(lambda: runner.run(read)).head.split() == ["NoNewPrivs:", shown]


def test_other_threads_of_the_process_keep_what_they_have(made: Callable[[Rights], ShellRunner]) -> None:
    runner = made(Rights(no_new_privileges=True))
    in_thread(lambda: runner.run(command("true", "t-other")))
    assert "NoNewPrivs:\t0" in Path("/proc/thread-self/status").read_text()


# -- PID namespaces -----------------------------------------------------------------------------------


@NAMESPACES
@pytest.mark.fault(14)
def test_in_a_namespace_a_daemon_ends_with_its_command(apart: ShellRunner, tmp_path: Path) -> None:
    evidence = apart.run(command(hidden(tmp_path / "up", "611"), "t-daemon"))
    assert evidence.outcome is Outcome.PASSED
    assert not sleepers("611")
    assert not zombies()


@NAMESPACES
def test_under_a_lease_it_ends_with_the_attempt_and_is_there_until_then(apart: ShellRunner, tmp_path: Path) -> None:
    apart.renewed(["t-kept"], timedelta(seconds=60), time.monotonic())
    apart.run(command(hidden(tmp_path / "up", "612"), "t-kept"))
    wait_until(lambda: sleepers("612"), "the daemon runs")
    seen = apart.run(command("ls /proc/self/ns/pid >/dev/null && kill -0 -1", "t-kept"))  # it sees its own
    assert seen.outcome is Outcome.PASSED
    other = apart.run(command("true", "t-other"))
    assert other.outcome is Outcome.PASSED
    assert sleepers("612")
    apart.forget(["t-kept"])
    assert not sleepers("612")


@NAMESPACES
def test_a_command_in_a_namespace_cannot_reach_its_worker(apart: ShellRunner) -> None:
    evidence = apart.run(command(f"kill -0 {os.getpid()}", "t-reach"))
    assert evidence.outcome is Outcome.FAILED
    assert "no such process" in evidence.head.lower()


@NAMESPACES
@pytest.mark.fault(1)
def test_a_hidden_daemon_dies_with_a_killed_worker(tmp_path: Path) -> None:
    up = tmp_path / "up"
    with worker("t-dies", hidden(up, "613") + "; sleep 600", apart=True) as process:
        guard_of(process)
        wait_until(lambda: sleepers("613"), "the daemon runs")
        process.kill()
        wait_until(lambda: not sleepers("613"), "it is gone with its namespace")


@NAMESPACES
@pytest.mark.fault(1)
def test_a_hidden_daemon_dies_with_a_lease_that_a_frozen_worker_sleeps_through(tmp_path: Path) -> None:
    with worker("t-frozen", hidden(tmp_path / "up", "614") + "; sleep 600", apart=True, lease_s=1.5) as process:
        guard_of(process)
        wait_until(lambda: sleepers("614"), "the daemon runs")
        process.send_signal(signal.SIGSTOP)
        wait_until(lambda: not sleepers("614"), "the guard ended the namespace")
        process.send_signal(signal.SIGCONT)
        assert process.stdout is not None
        assert process.stdout.readline().startswith("lost ")


@NAMESPACES
@pytest.mark.parametrize(
    ("cmd", "outcome", "message"),
    [
        ("exit 3", Outcome.FAILED, "exit code 3"),
        ("kill -9 $$", Outcome.BROKEN, "killed by signal 9 (SIGKILL)"),
        ("sleep 60", Outcome.TIMED_OUT, "timed out after 0.3 s"),
        (["no-such-command-here"], Outcome.BROKEN, "no such file"),
    ],
)
def test_commands_end_there_as_elsewhere(
    apart: ShellRunner, cmd: str | list[str], outcome: Outcome, message: str
) -> None:
    evidence = apart.run(command(cmd, "t-ends", timeout_s=0.3))
    assert evidence.outcome is outcome
    assert message in evidence.message
    assert evidence.duration_s < 1


@NAMESPACES
def test_what_cannot_be_started_is_said_there_as_elsewhere(
    apart: ShellRunner, made: Callable[[Rights], ShellRunner], tmp_path: Path
) -> None:
    (tmp_path / "text").write_text("no program")
    (tmp_path / "text").chmod(0o755)
    elsewhere = made(Rights())
    for cmd in ([str(tmp_path / "text")], ["true", "a\0b"], ["true", "x" * (1 << 18)]):
        expected, evidence = elsewhere.run(command(cmd, "t-plain")), apart.run(command(cmd, "t-apart"))
        assert expected.outcome is Outcome.BROKEN
        assert (evidence.outcome, evidence.message) == (Outcome.BROKEN, expected.message)
    assert apart.run(command("true", "t-apart")).outcome is Outcome.PASSED


@NAMESPACES
def test_arguments_environment_and_directory_arrive_there_as_they_are(apart: ShellRunner, tmp_path: Path) -> None:
    odd = os.fsdecode(b"\xff \xc3\xa4 'quoted'\n")
    show = command(["sh", "-c", 'printf "%s|%s|" "$1" "$ODD" | od -An -tx1 | tr -d " \n"; pwd', "sh", odd], "t-odd")
    evidence = apart.run(replace(show, env={"ODD": odd, "LONG": "x" * 100_000}, cwd=str(tmp_path)))
    assert evidence.head == (os.fsencode(odd) + b"|").hex() * 2 + f"{tmp_path}\n"


@NAMESPACES
def test_a_namespace_serves_one_command_after_the_other_and_leaks_nothing(apart: ShellRunner) -> None:
    apart.run(command("true", "t-first"))
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    seen = {apart.run(command("readlink /proc/self/ns/pid", f"t-{number}")).head for number in range(20)}
    assert len(seen) == 1
    assert seen != {os.readlink("/proc/self/ns/pid") + "\n"}  # noqa: PTH115
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    apart.close()
    assert not zombies()


@NAMESPACES
def test_threads_share_no_namespace(apart: ShellRunner) -> None:
    seen: list[str] = []

    def work(number: int) -> None:
        evidence = apart.run(command("readlink /proc/self/ns/pid; sleep 0.2", f"t-{number}"))
        seen.append(evidence.head)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(seen)) == 4


@NAMESPACES
def test_a_namespace_that_was_killed_is_replaced(apart: ShellRunner) -> None:
    apart.run(command("true", "t-before"))
    (space,) = children_here().spaces
    os.kill(space.init, signal.SIGKILL)
    wait_until(lambda: not is_alive(space.init), "it is dead")
    assert apart.run(command("true", "t-after")).outcome is Outcome.PASSED


@NAMESPACES
def test_a_namespace_that_ends_before_its_command_begins_is_said_and_replaced(
    apart: ShellRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    apart.run(command("true", "t-before"))
    (space,) = children_here().spaces
    os.kill(space.init, signal.SIGKILL)
    wait_until(lambda: not is_alive(space.init), "it is dead")
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with monkeypatch.context() as unaware:
        unaware.setattr(Space, "alive", property(lambda _: True))
        assert apart.run(command("true", "t-late")).outcome is Outcome.BROKEN
    assert apart.run(command("true", "t-after")).outcome is Outcome.PASSED
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


@NAMESPACES
@pytest.mark.parametrize("apart", ["kept"], indirect=True)
def test_a_keeper_that_does_not_answer_is_ended_and_replaced(
    apart: ShellRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moie_worker.adapters.shell_user_space._ANSWER_S", 0.5)
    apart.run(command("true", "t-before"))
    (space,) = children_here().spaces
    os.kill(space.init, signal.SIGSTOP)
    evidence = apart.run(command("true", "t-stuck"))
    assert (evidence.outcome, evidence.message) == (Outcome.BROKEN, "its PID namespace ended before it began")
    assert not is_alive(space.init)
    assert apart.run(command("true", "t-after")).outcome is Outcome.PASSED


@NAMESPACES
def test_what_is_killed_with_its_namespace_is_not_done(apart: ShellRunner) -> None:
    found: list[Evidence] = []
    running = threading.Thread(target=lambda: found.append(apart.run(command("sleep 600", "t-under"))))
    running.start()
    wait_until(lambda: alive("t-under") and list(children_here().spaces), "it runs")
    (space,) = children_here().spaces
    os.kill(space.init, signal.SIGKILL)
    running.join(5)
    assert [(it.outcome, it.signal) for it in found] == [(Outcome.BROKEN, signal.SIGKILL)]


# -- other users --------------------------------------------------------------------------------------


def as_user(cmd: str | list[str], name: str = NOBODY, **changes: object) -> Command:
    return replace(command(cmd, "t-user"), run_as=name, **changes)  # type: ignore[arg-type]


def test_a_user_that_is_not_named_in_the_settings_is_refused(made: Callable[[Rights], ShellRunner]) -> None:
    evidence = made(Rights(users=frozenset({"operator"}))).run(as_user("true"))
    assert evidence.outcome is Outcome.REFUSED
    assert evidence.message.startswith("refused: nobody may run as nobody on this machine: name the user in MOIE_RUN")


@USERS
def test_a_user_that_the_machine_does_not_have_is_said(made: Callable[[Rights], ShellRunner]) -> None:
    evidence = made(Rights(users=frozenset({"no-such-user"}))).run(as_user("true", "no-such-user"))
    assert evidence.outcome is Outcome.BROKEN
    assert evidence.message == "cannot run as no-such-user: this machine has no such user"


def test_a_worker_without_the_right_says_what_to_do(as_nobody: ShellRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moie_worker.adapters.shell_user.capable", lambda *wanted: False)
    evidence = as_nobody.run(as_user("true"))
    assert evidence.outcome is Outcome.BROKEN
    assert evidence.message.startswith("cannot run as nobody: the worker needs root, or CAP_SETUID")


@USERS
def test_identity_groups_directory_and_mask_are_the_users(as_nobody: ShellRunner) -> None:
    found = pwd.getpwnam(NOBODY)
    groups = sorted(os.getgrouplist(NOBODY, found.pw_gid))
    seen = as_nobody.run(as_user("grep -E '^(Uid|Gid|Groups|CapEff):' /proc/self/status; umask; pwd"))
    uid, gid, listed, rights, mask, place = seen.head.splitlines()
    assert uid.split()[1:] == [str(found.pw_uid)] * 4
    assert gid.split()[1:] == [str(found.pw_gid)] * 4
    assert sorted(map(int, listed.split()[1:])) == groups
    assert int(rights.split()[1], 16) == 0
    assert mask == "0022"
    assert place == (found.pw_dir if Path(found.pw_dir).is_dir() else "/")


@USERS
def test_its_environment_is_the_users_and_nothing_of_the_workers(made: Callable[[Rights], ShellRunner]) -> None:
    found = pwd.getpwnam(NOBODY)
    environ = {
        "PATH": "/usr/bin:/bin",
        "HOME": "/srv/worker",
        "USER": "root",
        "TMPDIR": "/srv/worker/tmp",
        "SECRET": "s",
        "A": "1",
    }
    runner = ShellRunner(environ, rights=Rights(users=frozenset({NOBODY})))
    seen = runner.run(as_user("env", pass_env=("A",), env={"B": "2"})).head.splitlines()
    given = dict(line.split("=", 1) for line in seen)
    assert {name: given.pop(name, None) for name in ("HOME", "USER", "LOGNAME", "SHELL")} == {
        "HOME": found.pw_dir, "USER": NOBODY, "LOGNAME": NOBODY, "SHELL": found.pw_shell,
    }  # fmt: skip
    assert set(given) - {"PWD", "OLDPWD", "SHLVL", "_"} == {"PATH", "MOIE_TOKEN", "MOIE_SLOT", "A", "B"}


@USERS
def test_nothing_that_a_job_says_of_its_environment_reaches_what_still_has_rights(
    as_nobody: ShellRunner, tmp_path: Path
) -> None:
    startup = tmp_path / "sitecustomize.py"
    startup.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    loader = {"PYTHONPATH": str(tmp_path), "PYTHONSTARTUP": str(startup), "LD_PRELOAD": str(tmp_path / "missing.so")}
    evidence = as_nobody.run(as_user(["/bin/sh", "-c", "echo ran"], env=loader, cwd="/"))
    assert evidence.outcome is Outcome.PASSED
    assert sum("missing.so" in line for line in evidence.head.splitlines()) == 1  # the loader of sh, none before it
    assert not (tmp_path / "ran").exists()


@USERS
def test_directory_and_program_are_looked_for_with_the_rights_of_the_user(
    as_nobody: ShellRunner, tmp_path: Path
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    denied = as_nobody.run(as_user("true", cwd=str(closed)))
    assert (denied.outcome, denied.exit_code) == (Outcome.BROKEN, 126)
    assert "cannot enter the directory" in denied.head
    missing = as_nobody.run(as_user(["no-such-command-here"], env={"PATH": "/usr/bin:/bin"}))
    assert (missing.outcome, missing.exit_code) == (Outcome.BROKEN, 127)


@USERS
def test_a_command_of_another_user_ends_at_its_limit_with_all_it_left(as_nobody: ShellRunner) -> None:
    stubborn = "trap '' TERM; (env -i setsid sleep 615 &); sleep 600; sleep 600"
    evidence = as_nobody.run(replace(as_user(stubborn), timeout=timedelta(seconds=0.5)))
    assert evidence.outcome is Outcome.TIMED_OUT
    assert evidence.duration_s < 3
    assert not alive("t-user")
    assert not sleepers("615")


@USERS
@NAMESPACES
def test_another_user_in_a_namespace_without_new_privileges(made: Callable[[Rights], ShellRunner]) -> None:
    runner = made(Rights(frozenset({NOBODY}), no_new_privileges=True, apart=True))
    evidence = in_thread(
        lambda: runner.run(as_user("grep NoNewPrivs /proc/self/status; id -un; readlink /proc/self/ns/pid"))
    )
    privileges, name, namespace = evidence.head.splitlines()
    assert (privileges, name) == ("NoNewPrivs:\t1", NOBODY)
    assert namespace != os.readlink("/proc/self/ns/pid")  # noqa: PTH115


# -- allowed programs ---------------------------------------------------------------------------------


def only(*words: str) -> Rights:
    """These programs and no others."""
    found = found_programs(words, os.environ["PATH"])
    assert all(found.values())
    return Rights(programs=Programs(frozenset(filter(None, found.values()))))


@pytest.mark.parametrize("cmd", [["test", "-d", "/"], ["env", "sh", "-c", "exit 0"]])
def test_what_begins_with_an_allowed_program_is_run(made: Callable[[Rights], ShellRunner], cmd: list[str]) -> None:
    assert made(only("test", "env")).run(command(cmd, "t-allowed")).outcome is Outcome.PASSED


@pytest.mark.parametrize("cmd", [["ls"], ["/bin/ls"], "ls", "test -d /"])
def test_all_else_is_refused_and_a_text_needs_the_shell(
    made: Callable[[Rights], ShellRunner], cmd: str | list[str]
) -> None:
    evidence = made(only("test")).run(command(cmd, "t-refused"))
    assert evidence.outcome is Outcome.REFUSED
    assert evidence.message.startswith("refused: ")
    assert "is not among the programs of MOIE_ALLOWED_PROGRAMS on this machine" in evidence.message
    assert made(only("sh")).run(command("test -d /", "t-text")).outcome is Outcome.PASSED


def test_a_name_leads_to_the_file_that_it_is(made: Callable[[Rights], ShellRunner], tmp_path: Path) -> None:
    runner = made(only("test"))
    (tmp_path / "test").write_text("#!/bin/sh\nexit 0\n")
    (tmp_path / "test").chmod(0o755)
    found = found_programs(["ls"], os.environ["PATH"])["ls"]
    assert found is not None
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / "test").symlink_to(found.file)
    for forged in (
        replace(command(["test"], "t-path"), env={"PATH": str(tmp_path)}),
        replace(command(["./test"], "t-here"), cwd=str(tmp_path)),
        command([str(tmp_path / "link" / "test")], "t-link"),
    ):
        assert runner.run(forged).outcome is Outcome.REFUSED
    assert runner.run(replace(command(["test", "-e", "link"], "t-cwd"), cwd=str(tmp_path))).outcome is Outcome.PASSED


def test_one_file_that_is_many_programs_is_allowed_by_its_name(
    made: Callable[[Rights], ShellRunner], tmp_path: Path
) -> None:
    shell = os.path.realpath("/bin/sh")
    for name in ("good", "bad"):
        (tmp_path / name).symlink_to(shell)
    runner = made(only(str(tmp_path / "good")))
    assert runner.run(command([str(tmp_path / "good"), "-c", "exit 0"], "t-good")).outcome is Outcome.PASSED
    assert runner.run(command([str(tmp_path / "bad"), "-c", "exit 0"], "t-bad")).outcome is Outcome.REFUSED


@pytest.mark.parametrize("changes", [{"env": {"LD_PRELOAD": "/x.so"}}, {"pass_env": ("LD_LIBRARY_PATH",)}])
def test_no_other_code_is_brought_into_an_allowed_program(
    made: Callable[[Rights], ShellRunner], changes: dict[str, object]
) -> None:
    evidence = made(only("test")).run(replace(command(["test", "-d", "/"], "t-preload"), **changes))  # type: ignore[arg-type]
    assert evidence.outcome is Outcome.REFUSED
    assert "would bring other code into an allowed program" in evidence.message


@USERS
def test_it_holds_for_other_users_too(made: Callable[[Rights], ShellRunner]) -> None:
    runner = made(replace(only("id"), users=frozenset({NOBODY})))
    assert runner.run(as_user(["id", "-un"])).head == "nobody\n"
    assert runner.run(as_user(["ls"])).outcome is Outcome.REFUSED
