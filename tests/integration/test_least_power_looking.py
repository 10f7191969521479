"""Who looks, with redis-cli in hand: every command of the server that changes something, on every key that there is."""

import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any, cast

import pytest
import redis

from moie_worker.adapters.redis.acl import Account, script_commands
from moie_worker.adapters.redis.keys import Keys
from moie_worker.plan.states import Place
from tests.acl_kit import FORBIDDEN, Users, raw, users_of
from tests.farm import Farm, farm_in, wait_until

pytestmark = pytest.mark.integration

LOOKERS = (Account.READER, Account.FLOWER)
JOBS: list[dict[str, Any]] = [
    {"id": "good", "task": "t", "verification_cmd": "true"},
    {"id": "bad", "task": "t", "verification_cmd": "no-such-command", "retry": {"max": 0}},
    {"id": "waits", "task": "t", "verification_cmd": "false"},
    {"id": "cycle", "task": "t", "verification_cmd": "true", "status": "cyclic", "schedule": {"every": "1s"}},
]
OF_EVENTS = re.compile(
    r"_kombu\.binding(_permanent)?\.(celeryev|reply\.(celery|unheard)\.pidbox)|_kombu\.binding_deadlines|"
    r"celeryev\..+|unheard\..+|.+\.reply\.unheard\.pidbox.*"
)
NOT_MARKED = ("publish", "eval", "eval_ro", "fcall", "script", "function", "debug", "client", "pubsub", "latency")
READ = {"string": "GET {}", "hash": "HGETALL {}", "set": "SMEMBERS {}", "list": "LRANGE {} 0 -1",
        "zset": "ZRANGE {} 0 -1 WITHSCORES", "stream": "XRANGE {} - +"}  # fmt: skip


@pytest.fixture(scope="module")
def left() -> Iterator[Users]:
    """What a worker and a beat have left in Redis after work of all kinds; nobody works any more."""
    with farm_in("left") as farm:
        users = users_of(farm)
        users.worker("w1")
        users.beat("b1")
        farm.load(*JOBS)
        wait_until(lambda: farm.place("bad") is Place.DEAD, "a job is given up")
        wait_until(lambda: len(farm.journal("job.passed")) > 2, "a cyclic job runs")
        wait_until(lambda: farm.store.last_seal(), "receipts are sealed")
        wait_until(lambda: farm.server.client.exists(Keys("test")("snapshots")), "a snapshot is kept")
        farm.kill("w1")
        farm.kill("b1")
        farm.server.client.lpush("default", "a message")
        farm.server.client.hset("unacked", "tag", "a message")
        yield users


def contents(farm: Farm) -> Mapping[str, Any]:
    """All that does not go by itself, by its meaning: what Redis has of a hash in memory may change by reading."""
    with redis.Redis.from_url(farm.server.url) as client:  # bytes: not all of it is text
        names = [name.decode() for name in client.scan_iter(count=1000) if client.ttl(name) == -1]
        kinds = {name: cast(bytes, client.type(name)).decode() for name in names}
        return {name: raw(client, *READ[kind].format(name).split()) for name, kind in kinds.items()}


def kept_from(farm: Farm, account: Account) -> Mapping[str, Any]:
    """Of these, what this user must not change: all, but for Flower the keys by which it hears of events."""
    held = contents(farm)
    return {name: one for name, one in held.items() if account is not Account.FLOWER or not OF_EVENTS.fullmatch(name)}


def changing(farm: Farm) -> dict[str, int]:
    """Every command that changes data, the server, or what others hear, with how many arguments it takes at least."""
    found = {}
    for name, command in farm.server.client.command().items():
        flags = {str(flag) for flag in command["flags"]}
        if flags & {"write", "admin"} or name in NOT_MARKED:
            arity = int(command["arity"])
            found[name] = arity - 1 if arity > 0 else max(-arity - 1, 1)
    return found


def test_what_was_left_has_every_kind_of_key(left: Users) -> None:
    plan = Keys("test")
    names = contents(left.farm).keys()
    assert {plan(one) for one in ("plan", "state", "defs:1", "evidence", "counts", "journal", "dead", "dead:job:bad",
                                  "receipts", "receipts:seals", "snapshots", "cyc:cycle", "runs:cycle", "phases")} | {
        "moie:plans", "moie:workers", "moie:chain", "default", "unacked"} <= names  # fmt: skip
    for account in LOOKERS:
        assert len(kept_from(left.farm, account)) > 25


@pytest.mark.parametrize("account", LOOKERS)
def test_no_command_changes_any_key(left: Users, account: Account) -> None:
    before, commands = kept_from(left.farm, account), changing(left.farm)
    assert len(commands) > 100
    with closing(left.client(account)) as client:
        for key in before:
            pipe = client.pipeline(transaction=False)
            for name, arguments in commands.items():
                pipe.execute_command(name, *[key] * arguments)  # type: ignore[no-untyped-call]
            answers = dict(zip(commands, pipe.execute(raise_on_error=False), strict=True))
            allowed = {n for n, a in answers.items() if not isinstance(a, redis.exceptions.NoPermissionError)}
            assert allowed == set(), key
    assert kept_from(left.farm, account) == before


@pytest.mark.parametrize("account", LOOKERS)
def test_no_script_changes_any_key(left: Users, account: Account) -> None:
    before = kept_from(left.farm, account)
    writing = {name: least for name, least in changing(left.farm).items() if name in script_commands()}
    assert len(writing) > 15
    with closing(left.client(account)) as client:
        for name, arguments in writing.items():
            digest = client.script_load(f"return redis.call('{name}', {', '.join(['KEYS[1]'] * arguments)})")
            for key in before:
                with pytest.raises(redis.exceptions.RedisError) as refused:
                    client.evalsha(digest, 1, key)
                assert "permission" in str(refused.value) or "can't run this command" in str(refused.value)
    assert kept_from(left.farm, account) == before


ACTS = ("pause", "run cycle", "cancel cycle", "cancel --all", "retry bad", "dead replay job:bad", "backup create",
        "dead discard job:bad", "heartbeat", "heartbeat --local", "rollback --to {snapshot}")  # fmt: skip


@pytest.mark.parametrize("line", ACTS)
def test_a_reader_changes_nothing_by_command(left: Users, line: str) -> None:
    before = contents(left.farm)
    snapshot = next(iter(left.farm.server.client.hgetall(Keys("test")("snapshots"))))
    done = left.moie(Account.READER, *line.format(snapshot=snapshot).split())
    assert done.exit_code in (1, 3), done.stdout
    assert any(word in done.stderr for word in FORBIDDEN), done.stderr
    assert contents(left.farm) == before


@pytest.mark.parametrize("account", LOOKERS)
def test_who_looks_cannot_command_workers(left: Users, account: Account) -> None:
    with closing(left.client(account)) as client, pytest.raises(redis.exceptions.NoPermissionError):
        client.publish("/0.celery.pidbox", '{"method": "shutdown"}')


@pytest.mark.parametrize("account", [Account.BEAT, Account.WORKER, Account.CLI])
def test_who_works_is_kept_from_the_server_and_from_keys_of_others(left: Users, account: Account) -> None:
    for line in ("FLUSHALL", "FLUSHDB", "CONFIG GET *", "ACL LIST", "KEYS *", "SHUTDOWN", "MONITOR", "EVAL x 0",
                 "SCRIPT FLUSH", "DEBUG SLEEP 0", "CLIENT LIST", "SWAPDB 0 1", "SET other x", "GET other"):  # fmt: skip
        with closing(left.client(account)) as client, pytest.raises(redis.exceptions.NoPermissionError):
            raw(client, *line.split())
