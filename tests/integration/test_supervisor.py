"""`moie up` and `moie down` on real processes: what dies is restarted, what ends leaves nothing behind."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from moie_worker import settings
from moie_worker.adapters import control
from moie_worker.adapters.home import Home, holder, locked
from moie_worker.adapters.leftovers import Record, end_leftovers
from moie_worker.adapters.processes import Launch, free_port, identity, kill_group, spawn
from moie_worker.errors import NotFoundError, RefusedError

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
HOST = Path(__file__).with_name("up_host.py")
SLEEPS = "import time; print('ready now'); time.sleep(600)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready now'); time.sleep(600)"
# A parent with a child in its own group that would survive it.
FAMILY = """
import subprocess, sys, time
deaf = 'import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)'
child = subprocess.Popen([sys.executable, '-c', deaf])
print('child', child.pid, flush=True)
time.sleep(600)
"""
SERVES = """
import socket, sys, time
s = socket.create_server(('127.0.0.1', {port}))
print('ready now', flush=True)
time.sleep(600)
"""


def wait_until(done: Callable[[], Any], what: str, timeout_s: float = 15) -> None:
    end = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < end, f"not within {timeout_s} s: {what}"
        time.sleep(0.02)


class Up:
    """A running host: its lines are collected by a thread."""

    def __init__(self, home: Home, *parts: dict[str, Any], **spec: Any) -> None:
        document = json.dumps({"home": str(home.root), "parts": parts, **spec})
        self.process = subprocess.Popen(
            [sys.executable, str(HOST), document],
            env=settings.base_environment() | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def sees(self, pattern: str, times: int = 1) -> "re.Match[str]":
        """Wait for a line; returns the match of the last of `times`."""

        def found() -> list["re.Match[str]"]:
            return [match for line in list(self.lines) if (match := re.search(pattern, line))]

        wait_until(lambda: len(found()) >= times or not self._reader.is_alive(), f"{pattern!r} in {self.lines}")
        assert len(found()) >= times, f"ended without {times} x {pattern!r}: {self.lines}"
        return found()[times - 1]

    def pid(self, part: str, time: int = 1) -> int:
        return int(self.sees(rf"^moie\|{part} started as pid (\d+)", time)[1])

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ends(self, timeout_s: float = 20) -> int:
        code = self.process.wait(timeout_s)
        self._reader.join(timeout_s)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def result(self) -> str:
        text = "\n".join(self.lines)
        return text[text.index("result|") :]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "höme with space")


@pytest.fixture
def up(home: Home) -> Iterator[Callable[..., Up]]:
    started: list[Up] = []

    def start(*parts: dict[str, Any], **spec: Any) -> Up:
        started.append(Up(home, *parts, **spec))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
        each.ends()


def gone(pid: int) -> bool:
    return identity(pid) is None


def name(part: str, code: str = SLEEPS, **more: Any) -> dict[str, Any]:
    return {"name": part, "code": code, **more}


def test_a_part_starts_when_what_it_needs_is_ready(up: Callable[..., Up]) -> None:
    host = up(name("second", needs=["first"]), name("first", ready_line="ready now"))
    host.sees(r"^ready\|all ready")
    said = [line for line in host.lines if line.startswith("moie|")]
    assert [re.sub(r" as pid .*| after .*", "", line) for line in said] == [
        "moie|first started",
        "moie|first is ready",
        "moie|second started",
        "moie|second is ready",
    ]


def test_a_part_that_dies_once_is_started_again_and_the_others_go_on(up: Callable[..., Up]) -> None:
    host = up(name("worker"), name("beat"))
    host.sees(r"^ready\|")
    worker, beat = host.pid("worker"), host.pid("beat")
    os.kill(worker, signal.SIGKILL)
    host.sees(r"^moie\|worker died \(killed by SIGKILL\); starting again in 0\.5 s")
    host.sees(r"^moie\|worker is ready", 2)
    assert host.pid("worker", 2) != worker
    assert not gone(beat)
    assert sum(line.startswith("ready|") for line in host.lines) == 1


def test_a_part_that_keeps_dying_stops_everything_and_shows_its_last_lines(up: Callable[..., Up]) -> None:
    dies = "import sys; [print('line', n) for n in range(30)]; print('no such thing', file=sys.stderr); sys.exit(3)"
    host = up(name("good"), name("bad", dies), rules={"first_s": 0.05})
    good = host.pid("good")
    assert host.ends() == 1
    lines = host.result().splitlines()
    assert lines[0] == "result|bad died 5 times within 60 s, so everything was stopped. Its last lines:"
    assert lines[-1] == "  no such thing"
    assert len(lines) == 21
    assert any("bad died (exit code 3); starting again in 0.4 s" in line for line in host.lines)
    assert gone(good)


def test_a_part_that_is_never_ready_stops_everything(up: Callable[..., Up]) -> None:
    host = up(
        name("slow", "import time; print('thinking'); time.sleep(600)", ready_line="ready now", ready_timeout=0.3)
    )
    assert host.ends() == 1
    assert host.result() == (
        "result|slow was not ready within 0.3 s, so everything was stopped. Its last lines:\n  thinking"
    )
    assert gone(host.pid("slow"))


def test_a_program_that_does_not_exist_says_so(up: Callable[..., Up], home: Home) -> None:
    host = up(name("bad", "import os; os.execv('/no/such/program', ['x'])"), rules={"first_s": 0.01, "deaths": 2})
    assert host.ends() == 1
    assert "No such file or directory" in host.result()


def test_a_refusal_when_all_is_ready_stops_everything(up: Callable[..., Up]) -> None:
    host = up(name("worker"), refusal="the plan is wrong")
    assert host.ends() == 1
    assert host.result() == "result|the plan is wrong"
    assert gone(host.pid("worker"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_all_in_order_and_leaves_no_process_and_no_port(
    up: Callable[..., Up], home: Home, number: signal.Signals
) -> None:
    port = free_port()
    host = up(
        name("server", SERVES.format(port=port), ready_line="ready now"),
        name("worker", FAMILY, needs=["server", "redis"]),
        redis=True,
    )
    host.sees(r"^ready\|")
    child = int(host.sees(r"^worker\|child (\d+)")[1])
    pids = [child, *(host.pid(part) for part in ("redis", "server", "worker"))]
    host.signal(number)
    assert host.ends() == 0
    assert host.result() == "result|stopped"
    wait_until(lambda: all(gone(pid) for pid in pids), "no process left")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
    ends = [line for line in host.lines if re.search(r"^moie\|\w+ ended", line)]
    assert ends[0].startswith("moie|worker ended (killed by SIGTERM)")
    assert "moie|redis ended (exit code 0)" in ends
    assert not locked(home.lock)
    assert sorted(p.name for p in home.root.iterdir()) == [
        "logs",
        "moie.lock",
        "parts.json",
        "redis",
        "redis.lock",
        "redis.secret",
    ]


def test_a_part_that_does_not_end_in_its_time_is_killed(up: Callable[..., Up]) -> None:
    host = up(name("stubborn", STUBBORN, ready_line="ready now", stop_timeout=0.3))
    host.sees(r"^ready\|")
    host.signal(signal.SIGINT)
    assert host.ends() == 0
    host.sees(r"^moie\|stubborn did not end in 0.3 s: killed")
    assert gone(host.pid("stubborn"))


def test_a_second_ctrl_c_ends_at_once(up: Callable[..., Up]) -> None:
    host = up(name("stubborn", STUBBORN, ready_line="ready now", stop_timeout=300), name("other", needs=["stubborn"]))
    host.sees(r"^ready\|")
    host.signal(signal.SIGINT)
    host.sees(r"^moie\|SIGINT: stopping")
    host.signal(signal.SIGINT)
    assert host.ends(5) == 1
    assert gone(host.pid("stubborn"))


def test_the_group_of_a_dead_part_is_gone_before_it_is_started_again(up: Callable[..., Up]) -> None:
    host = up(name("worker", FAMILY))
    child = int(host.sees(r"^worker\|child (\d+)")[1])
    os.kill(host.pid("worker"), signal.SIGKILL)
    host.pid("worker", 2)
    wait_until(lambda: gone(child), "the child of the dead worker is gone")


def test_lines_are_whole_harmless_and_without_secrets_in_the_log_too(up: Callable[..., Up], home: Home) -> None:
    writes = r"""
import sys, time
sys.stdout.buffer.write(b'half'); sys.stdout.flush(); time.sleep(0.1)
sys.stdout.buffer.write(b' line\n\x1b[2Jclear\n\xff\xfe\nhush-hush and redis://:pw@h\n')
sys.stdout.buffer.write(b'x' * 20000 + b'\nlast without end')
sys.stdout.flush(); sys.exit(0)
"""
    host = up(name("part", writes), secrets=["hush-hush"], rules={"deaths": 1})
    assert host.ends() == 1
    lines = [line.removeprefix("part|") for line in host.lines if line.startswith("part|")]
    assert lines[:4] == ["half line", "\\x1b[2Jclear", "��", "*** and redis://:***@h"]
    assert "".join(lines[4:-1]) == "x" * 20000
    assert lines[-1] == "last without end"
    log = (home.logs / "up.log").read_text()
    assert re.search(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ part   \| half line$", log, re.MULTILINE)
    assert "hush" not in log
    assert "hush" not in host.result()


def test_a_part_that_closes_its_output_costs_no_idle_time(up: Callable[..., Up]) -> None:
    host = up(name("quiet", "import os, time; os.close(1); os.close(2); time.sleep(600)"))
    host.sees(r"^ready\|")
    before = cpu_ticks(host.process.pid)
    time.sleep(0.5)
    assert cpu_ticks(host.process.pid) - before <= 2


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_a_second_up_on_the_same_home_is_refused_and_changes_nothing(up: Callable[..., Up], home: Home) -> None:
    first = up(name("worker"), redis=True)
    first.sees(r"^ready\|")
    url = settings.load(home=home.root).state_url()
    second = up(name("worker"), redis=True)
    assert second.ends() == 1
    assert re.fullmatch(
        rf"result\|moie already runs on {re.escape(str(home.root))} as pid {first.process.pid} since 20\S+\+00:00: "
        "see `moie status`; stop it with `moie down`",
        second.result(),
    )
    assert settings.load(home=home.root).state_url() == url
    assert not gone(first.pid("worker"))


def client_of(home: Home) -> "redis.Redis":
    return redis.Redis.from_url(settings.load(home=home.root).state_url(), decode_responses=True)


def test_kill_9_of_the_supervisor_leaves_no_part_and_the_next_up_finds_the_data(
    up: Callable[..., Up], home: Home
) -> None:
    first = up(name("worker", STUBBORN, needs=["redis"]), redis=True)
    first.sees(r"^ready\|")
    with client_of(home) as client:
        client.set("a", "1")
    pids = [first.pid("redis"), first.pid("worker")]
    assert list(json.loads(home.parts.read_text())) == ["worker"]  # Redis is left to its own lock, and ends in order
    first.signal(signal.SIGKILL)
    second = up(name("worker", needs=["redis"]), redis=True)  # at once: what the first left may still be ending
    second.sees(r"^ready\|")
    assert all(gone(pid) for pid in pids)
    with client_of(home) as client:
        assert client.get("a") == "1"


def test_kill_9_of_everything_and_up_again_finds_the_data(up: Callable[..., Up], home: Home) -> None:
    first = up(name("worker", needs=["redis"]), redis=True)
    first.sees(r"^ready\|")
    with client_of(home) as client:
        client.rpush("list", *range(1000))
    pids = [first.process.pid, first.pid("redis"), first.pid("worker")]
    os.kill(pids[0], signal.SIGSTOP)  # so that it does not restart what is killed next
    for pid in reversed(pids):
        os.kill(pid, signal.SIGKILL)
    assert first.ends() == -signal.SIGKILL
    assert holder(home) is None
    second = up(redis=True)
    second.sees(r"^ready\|")
    with client_of(home) as client:
        assert client.llen("list") == 1000


def test_redis_killed_under_the_parts_comes_back_at_the_same_address_with_its_data(
    up: Callable[..., Up], home: Home
) -> None:
    host = up(name("worker", needs=["redis"]), redis=True, port=0)
    host.sees(r"^ready\|")
    with client_of(home) as client:
        client.set("a", "1")
    os.kill(host.pid("redis"), signal.SIGKILL)
    host.sees(r"^moie\|redis is ready", 2)
    with client_of(home) as client:
        assert client.get("a") == "1"
    assert not gone(host.pid("worker"))


def test_down_stops_what_runs_and_says_who_it_was(up: Callable[..., Up], home: Home) -> None:
    host = up(name("worker"), redis=True)
    host.sees(r"^ready\|")
    assert control.down(home).pid == host.process.pid
    assert host.ends() == 0
    assert gone(host.pid("redis"))
    with pytest.raises(NotFoundError, match="nothing runs on"):
        control.down(home)


def test_down_says_when_it_takes_too_long(up: Callable[..., Up], home: Home) -> None:
    host = up(name("stubborn", STUBBORN, ready_line="ready now"))
    host.sees(r"^ready\|")
    with pytest.raises(RefusedError, match=r"still runs after 0\.2 s.*once more stops it at once"):
        control.down(home, 0.2)
    control.down(home, 5)
    assert host.ends() == 1


def test_down_never_signals_a_stranger_that_took_the_number(home: Home) -> None:
    home.prepare()
    home.lock.write_text(json.dumps({"pid": os.getpid(), "identity": "another boot:1", "since": "2026-01-01"}))
    with pytest.raises(NotFoundError):
        control.down(home)


def test_detached_it_waits_until_all_is_ready_and_runs_on(up: Callable[..., Up], home: Home) -> None:
    host = up(name("worker", ready_line="ready now", needs=["redis"]), redis=True, detach=True)
    assert host.ends() == 0
    assert host.result() == "result|all ready"
    running = holder(home)
    assert running is not None
    assert os.getsid(running.pid) != os.getsid(0)
    log = (home.logs / "up.log").read_text()
    pids = [int(pid) for pid in re.findall(r"started as pid (\d+)", log)]
    with client_of(home) as client:
        assert client.ping()
    control.down(home)
    assert all(gone(pid) for pid in pids)


def test_detached_it_tells_why_it_could_not_start(up: Callable[..., Up], home: Home) -> None:
    host = up(name("bad", "raise SystemExit('broken')", ready_line="ready"), rules={"first_s": 0.01}, detach=True)
    assert host.ends() == 1
    assert host.result().endswith("Its last lines:\n" + "\n".join(["  broken"] * 5))
    running = up(name("worker"))
    running.sees(r"^ready\|")
    refused = up(name("worker"), detach=True)
    assert refused.ends() == 1
    assert "already runs" in refused.result()


def test_a_crash_of_a_detached_start_is_in_its_log(up: Callable[..., Up], home: Home) -> None:
    host = up({"name": "no code"}, detach=True)
    assert host.ends() == 1
    assert "detached.log" in host.result()
    assert "KeyError: 'code'" in (home.logs / "detached.log").read_text()


def test_what_a_killed_up_left_behind_is_ended_by_its_record(home: Home) -> None:
    home.prepare()
    left = spawn(Launch([sys.executable, "-c", "import time; time.sleep(600)"]), subprocess.DEVNULL)
    stranger = spawn(Launch([sys.executable, "-c", "import time; time.sleep(600)"]), subprocess.DEVNULL)
    reaper = threading.Thread(target=left.wait)
    reaper.start()
    record = Record(home.parts)
    record.add("worker", left.pid)
    record.running["beat"] = (stranger.pid, "another boot:1")
    record.add("flower", 2**22 + 1)
    assert end_leftovers(home.parts) == ["worker"]
    reaper.join()
    assert left.returncode == -signal.SIGKILL
    assert stranger.poll() is None
    assert not home.parts.exists()
    kill_group(stranger.pid, signal.SIGKILL)
    stranger.wait()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": 1}', '{"a": ["x", "y"]}'])
def test_a_damaged_record_is_no_obstacle(home: Home, content: str) -> None:
    home.prepare()
    home.parts.write_text(content)
    assert end_leftovers(home.parts) == []


def test_a_lock_held_by_a_stranger_is_named(home: Home) -> None:
    home.prepare()
    home.lock.write_text(json.dumps({"pid": os.getpid(), "identity": "another boot:1", "since": "2026-01-01"}))
    holds = "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, 2); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", holds, str(home.lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as stranger:
        assert stranger.stdout is not None
        stranger.stdout.readline()
        with pytest.raises(RefusedError, match="no `moie up`"):
            holder(home)
        assert stranger.stdin is not None
        stranger.stdin.close()
