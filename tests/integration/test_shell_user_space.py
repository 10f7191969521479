"""PID namespaces of a worker that is not root, as a real user has them: all holds there that holds elsewhere."""

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from moie_worker.plan.doctor import Level
from moie_worker.plan.states import Place
from tests.farm import Farm
from tests.farm import wait_until as farm_until
from tests.shell_kit import guard_of, hidden, is_alive, sleepers, wait_until, worker
from tests.user_kit import GID, ROOT_RUNS, UID, as_other, can_be_had, give, place_of_other

HAD = pytest.mark.integration if can_be_had() else pytest.mark.whole
BY_ROOT = pytest.mark.integration if ROOT_RUNS and can_be_had() else pytest.mark.whole
pytestmark = pytest.mark.integration

# Runs commands one after the other and tells what came of them.
RUN = """
import dataclasses, json, os, sys
from datetime import timedelta
from moie_worker.adapters.shell import ShellRunner
from moie_worker.adapters.shell_rights import Rights
from moie_worker.ports import Command

os.set_inheritable(os.open("/dev/null", os.O_RDONLY), True)  # for everybody, as some library may
runner = ShellRunner(os.environ, rights=Rights(apart=True, no_new_privileges=True))
for cmd in sys.argv[1:]:
    limit, grace = timedelta(seconds=float(os.environ.get("LIMIT_S", 10))), timedelta(seconds=0.3)
    evidence = runner.run(Command(cmd.replace("WORKER", str(os.getpid())), limit, token="t-other", grace=grace))
    print(json.dumps(dataclasses.asdict(evidence), default=str))
runner.close()
"""

# What a worker would be allowed, and what doctor says of it.
SAY = """
import json, sys
from moie_worker.errors import InputError
from moie_worker.plan.doctor import held_findings
from moie_worker.settings import Settings
from moie_worker.wiring import System

for containment in ("group", "auto", "pid"):
    system = System(Settings(containment=containment))
    (row,) = [found for found in held_findings(system.held()) if found.what == "containment"]
    try:
        apart, refused = system.rights.apart, ""
    except InputError as error:
        apart, refused = False, str(error)
    print(json.dumps({"level": row.level, "said": row.message, "apart": apart, "refused": refused}))
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory of the user's own."""
    with place_of_other() as directory:
        yield directory


def told(
    script: str, *arguments: str, before: Sequence[str], limit_s: float = 10, users: str = ""
) -> list[dict[str, Any]]:
    """What a program of the user's printed."""
    done = subprocess.run(
        [*before, sys.executable, "-c", script, *arguments],
        env={**os.environ, "LIMIT_S": str(limit_s), "SECRET": "of-the-worker", "MOIE_RUN_AS_USERS": users},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def ran(*commands: str, limit_s: float = 10, before: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """What came of commands of the user in namespaces."""
    return told(RUN, *commands, before=as_other() if before is None else before, limit_s=limit_s)


@HAD
def test_commands_are_the_same_user_with_small_numbers_and_no_rights(place: Path) -> None:
    who, own = ran(
        f"id -u; id -g; echo $$; : > {place}/file",
        "cat /proc/sys/kernel/overflowuid; grep -E '^(CapPrm|CapEff|NoNewPrivs)' /proc/self/status; ls /proc/self/fd",
    )
    uid, gid, number = map(int, who["head"].split())
    assert (uid, gid) == (UID, GID)
    assert number < 20
    overflow, *status = own["head"].split("\n")
    assert int(overflow) != uid  # else it might be the number that stands for everybody unknown
    assert [line.split()[1].strip("0") for line in status[:3]] == ["", "", "1"]
    assert status[3:] == ["0", "1", "2", "3", ""]  # 3 is of ls
    made = (place / "file").stat()
    assert (made.st_uid, made.st_gid) == (UID, GID)


@HAD
def test_their_figures_output_and_ends_are_those_of_any_command() -> None:
    # More than this process has ever had, from which the command descends: below that nothing is known.
    much = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss + 200_000_000
    hungry = f"{sys.executable} -c 'x = bytearray({much}); print(sum(range(3_000_000)))'"
    plain, failed, killed, missing, loud, fed = ran(
        "echo out; echo err >&2", "exit 3", "kill -9 $$", "no-such-command-here", "yes | head -c 3000000", hungry
    )
    assert (plain["outcome"], plain["exit_code"], plain["head"]) == ("passed", 0, "out\nerr\n")
    assert (failed["outcome"], failed["exit_code"]) == ("failed", 3)
    assert (killed["outcome"], killed["signal"]) == ("broken", 9)
    assert (missing["outcome"], missing["exit_code"]) == ("broken", 127)
    assert loud["output_bytes"] == 3_000_000
    assert len(loud["head"]) + len(loud["tail"]) <= 2 * 4096
    assert fed["max_rss_bytes"] > much
    assert fed["cpu_s"] > 0.02


@HAD
def test_a_time_limit_asks_first_and_then_kills() -> None:
    asked, group, forced = ran(
        "trap 'echo asked; exit 7' TERM; sleep 60 & wait",
        "trap : TERM; sh -c 'trap \"echo inner; exit 8\" TERM; sleep 60 & wait'; exit $?",
        "trap '' TERM; sleep 60; sleep 60",
        limit_s=0.5,
    )
    assert (asked["outcome"], asked["head"], asked["exit_code"]) == ("timed_out", "asked\n", 7)
    assert (group["outcome"], group["head"], group["exit_code"]) == ("timed_out", "inner\n", 8)
    assert (forced["outcome"], forced["signal"]) == ("timed_out", 9)
    assert 0.8 <= forced["duration_s"] < 5


@HAD
@pytest.mark.fault(14)
def test_a_daemon_that_hides_ends_with_its_command(place: Path) -> None:
    hiding, after = ran(hidden(place / "up", "621"), "kill -0 -1")
    assert hiding["outcome"] == "passed"
    assert (place / "up").exists()
    assert not sleepers("621")
    assert after["outcome"] == "failed"  # nobody else is there


@HAD
@pytest.mark.fault(1)
def test_a_daemon_that_hides_dies_with_a_killed_worker(place: Path) -> None:
    with worker("t-dies", hidden(place / "up", "622") + "; sleep 600", apart=True, before=as_other()) as process:
        guard_of(process)
        wait_until(lambda: sleepers("622"), "the daemon runs")
        process.kill()
        wait_until(lambda: not sleepers("622"), "it is gone with its namespace")


@HAD
@pytest.mark.fault(1)
def test_a_daemon_that_hides_dies_with_a_lease_that_a_frozen_worker_sleeps_through(place: Path) -> None:
    lasting = hidden(place / "up", "623") + "; sleep 600"
    with worker("t-frozen", lasting, apart=True, lease_s=1.5, before=as_other()) as process:
        guard = guard_of(process)
        wait_until(lambda: sleepers("623"), "the daemon runs")
        process.send_signal(signal.SIGSTOP)
        wait_until(lambda: not sleepers("623"), "the guard ended the namespace")
        process.send_signal(signal.SIGCONT)
        assert process.stdout is not None
        assert process.stdout.readline().startswith("lost ")
    wait_until(lambda: not is_alive(guard), "nothing of it is left")


@HAD
def test_what_the_worker_is_told_reaches_no_command() -> None:
    read, signalled = ran("grep -az SECRET /proc/WORKER/environ", "kill -0 WORKER")
    assert (read["outcome"], signalled["outcome"]) == ("failed", "failed")
    assert "of-the-worker" not in read["head"]
    assert "no such process" in signalled["head"].lower()


@BY_ROOT
def test_where_there_is_no_own_proc_the_environment_of_the_worker_is_kept_all_the_same() -> None:
    covered = as_other(cover_proc=True)
    mine, read, seen = ran(
        "echo $$", "cat /proc/WORKER/environ", "readlink /proc/self; test -d /proc/WORKER", before=covered
    )
    assert int(mine["head"]) < 20
    assert "permission denied" in read["head"].lower()
    assert seen["outcome"] == "passed"
    for row in told(SAY, before=covered):
        assert "the /proc of the machine: the kernel gives it no other" in row["said"]


@HAD
def test_it_is_said_where_they_can_be_had() -> None:
    group, auto, pid = told(SAY, before=as_other())
    assert group["said"].startswith("process groups, as MOIE_CONTAINMENT says; MOIE_CONTAINMENT=pid is possible here")
    for row in (auto, pid):
        assert (row["level"], row["apart"], row["refused"]) == (Level.OK, True, "")
        assert row["said"].startswith("PID namespaces, each inside a user namespace and with ")
    assert not group["apart"]


@HAD
def test_commands_see_no_other_processes_where_another_program_can_have_that_too() -> None:
    trial = ["unshare", "--user", "--map-current-user", "--pid", "--fork", "--mount-proc", "true"]
    possible = subprocess.run([*as_other(), *trial], capture_output=True, check=False).returncode == 0
    (seen,) = ran("test -d /proc/WORKER")
    assert seen["outcome"] == ("failed" if possible else "passed")
    assert all(("a /proc of its own" in row["said"]) is possible for row in told(SAY, before=as_other()))


@BY_ROOT
def test_it_is_said_where_the_kernel_gives_none() -> None:
    why = (
        "no PID namespaces here: cannot make a user namespace: no space left on device (user.max_user_namespaces is 0 "
        "or used up). Without user namespaces the worker needs root or CAP_SYS_ADMIN"
    )
    group, auto, pid = told(SAY, before=as_other(forbid=True))
    assert (group["level"], group["said"]) == (Level.OK, f"process groups, as MOIE_CONTAINMENT says; {why}")
    assert (auto["level"], auto["said"], auto["apart"]) == (Level.NOTE, f"process groups only; {why}", False)
    assert (pid["level"], pid["said"]) == (Level.FAULT, f"process groups only; {why}")
    assert pid["refused"] == f"MOIE_CONTAINMENT: {why}. Say `auto` to do without"


@BY_ROOT
@pytest.mark.parametrize(
    ("who", "users", "why"),
    [
        (["setpriv", "--bounding-set=-sys_admin"], "", "root needs CAP_SYS_ADMIN"),
        (as_other(rights=("setuid", "setgid", "kill")), "daemon", "for commands of the users of MOIE_RUN_AS_USERS"),
    ],
)
def test_who_would_lose_rights_in_a_user_namespace_is_given_none(who: list[str], users: str, why: str) -> None:
    group, auto, pid = told(SAY, before=who, users=users)
    assert f"no PID namespaces here: {why}" in group["said"]
    assert (auto["level"], auto["apart"]) == (Level.NOTE, False)
    assert why in pid["refused"]


# -- workers ------------------------------------------------------------------------------------------


@pytest.fixture
def others_farm(farm: Farm) -> Farm:
    """A farm whose workers are the user's."""
    for directory in (farm.directory, farm.work):
        give(directory)
    farm.server.socket.chmod(0o777)
    return farm


@HAD
def test_a_worker_of_the_user_does_its_jobs_in_namespaces(others_farm: Farm) -> None:
    others_farm.settings["MOIE_CONTAINMENT"] = "pid"
    others_farm.load({"id": "a", "task": "t", "verification_cmd": f"test $(id -u) = {UID} && test $$ -lt 20"})
    others_farm.worker(before=as_other())
    others_farm.beat()
    farm_until(lambda: others_farm.place("a") is Place.COMPLETED, "it ran there")
    assert "commands run in PID namespaces, each inside a user namespace" in others_farm.log("w1")


@BY_ROOT
def test_a_worker_that_cannot_have_them_does_not_start_or_says_so(others_farm: Farm) -> None:
    others_farm.settings["MOIE_CONTAINMENT"] = "pid"
    assert others_farm.worker(before=as_other(forbid=True)).wait(30) == 2
    assert "MOIE_CONTAINMENT: no PID namespaces here: cannot make a user namespace" in others_farm.log("w1")
    others_farm.settings["MOIE_CONTAINMENT"] = "auto"
    others_farm.load({"id": "a", "task": "t", "verification_cmd": f"test $(id -u) = {UID} && test $$ -ge 20"})
    others_farm.worker("w2", before=as_other(forbid=True))
    others_farm.beat()
    farm_until(lambda: others_farm.place("a") is Place.COMPLETED, "it ran as ever")
    assert "commands run in process groups only; no PID namespaces here: cannot make" in others_farm.log("w2")
