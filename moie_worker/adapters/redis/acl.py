"""Who may do what in Redis: a user for each kind of process, with the commands and the keys that it needs.

What the scripts call is read from the scripts themselves. A command that Redis refuses in the middle of a script
leaves half of it done, so whoever may run the scripts that write is granted all that they call.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files

from moie_worker.settings import UNHEARD

CALLS = re.compile(r"redis\.p?call\(([^,)]*)")
NAMES = re.compile(r"'([A-Z]+)'")


class Account(StrEnum):
    """A user of Redis."""

    BEAT = "beat"
    WORKER = "worker"
    FLOWER = "flower"
    CLI = "cli"  # people who operate: moie load, pause, approve, dead replay …
    READER = "reader"  # people and monitors that look


CONNECT = frozenset({"ping", "select"})
SCRIPTS = frozenset({"evalsha", "script|load", "script|exists"})
TRANSACTION = frozenset({"multi", "exec"})
# What the adapters of this package send besides scripts.
STATE_READS = frozenset(
    {"hget", "hgetall", "hkeys", "hlen", "hmget", "hscan", "info", "lrange", "mget", "smembers", "time", "xlen",
     "xrange", "xrevrange", "zcard", "zrange", "zrangebyscore", "zscan"}
)  # fmt: skip
STATE_WRITES = frozenset(
    {"bzpopmin", "del", "expire", "hdel", "hset", "rpush", "sadd", "set", "zadd", "zpopmin", "zrem", "zremrangebyscore"}
)
# What kombu sends, by what a process is to the broker.
SENDS = frozenset({"lpush", "publish", "sadd", "smembers", "exists", "llen"})
HEARS = frozenset({"psubscribe", "punsubscribe", "subscribe", "unsubscribe", "srem", "del", "pexpire"})
TAKES = frozenset(
    {"brpop", "rpop", "rpush", "watch", "unwatch", "hget", "hset", "hdel", "zadd", "zrem", "zrange", "zrevrangebyscore",
     "set", "get"}
)  # fmt: skip
BINDS = SCRIPTS | {"sadd", "zadd", "time", "zrangebyscore", "exists", "del", "zrem"}  # queues that expire
EVENTS = BINDS | {
    "publish",
    "brpop",
    "psubscribe",
    "punsubscribe",
    "subscribe",
    "unsubscribe",
    "srem",
    "smembers",
    "llen",
    "pexpire",
}
# Those of the commands of scripts that change nothing.
LOOKS = frozenset(
    {"exists", "get", "hexists", "hget", "hgetall", "hkeys", "hlen", "hmget", "hscan", "lindex", "llen",
     "lrange", "time", "zcard", "zcount", "zrange", "zrangebyscore", "zrevrange", "zrevrank", "zscore",
     "xlen", "xrange", "xrevrange"}
)  # fmt: skip

STATE_KEYS = ("moie:*",)
BINDINGS = ("_kombu.binding*",)
REPLIES = ("*.celery.pidbox*", "celeryev.*")
UNACKED = ("unacked", "unacked_index", "unacked_mutex")
FLOWER_KEYS = (
    "celeryev.*",
    f"{UNHEARD}.*",
    f"*.reply.{UNHEARD}.pidbox*",
    "_kombu.binding.celeryev",
    "_kombu.binding_permanent.celeryev",
    f"_kombu.binding.reply.{UNHEARD}.pidbox",
    f"_kombu.binding_permanent.reply.{UNHEARD}.pidbox",
    "_kombu.binding.reply.celery.pidbox",  # it helps to sweep what others left
    "_kombu.binding_permanent.reply.celery.pidbox",
    "_kombu.binding_deadlines",
)


@dataclass(frozen=True, slots=True)
class Broker:
    """Where Celery's messages are, if they are in this Redis."""

    queues: Sequence[str] = ("default",)
    db: int = 0  # a part of the names of channels


@dataclass(frozen=True, slots=True)
class Grant:
    """What one user may do."""

    account: Account
    commands: frozenset[str]
    keys: tuple[str, ...]
    channels: tuple[str, ...]

    def rules(self, password: str) -> str:
        """The line of an ACL file, or of a configuration, behind the word `user`; without its secret in clear.

        `password` is what stands there for it: `#` and a SHA-256, or `>` and a password.
        """
        words = [
            str(self.account), "reset", "resetchannels", "on", password,
            *(f"~{key}" for key in self.keys),
            *(f"&{channel}" for channel in self.channels),
            *(f"+{command}" for command in sorted(self.commands)),
        ]  # fmt: skip
        return " ".join(words)


@cache
def script_commands() -> frozenset[str]:
    """Every command that a script of this release calls."""
    texts = [path.read_text(encoding="utf-8") for path in (files(__package__) / "lua").iterdir()]
    return frozenset(name.lower() for text in texts for call in CALLS.findall(text) for name in NAMES.findall(call))


def grants(broker: Broker) -> list[Grant]:
    """What each user may do."""
    state = CONNECT | SCRIPTS | TRANSACTION | STATE_READS | STATE_WRITES | script_commands()
    queues = tuple(_queue_keys(broker.queues))
    control = (f"/{broker.db}.celery.pidbox",)
    # A pattern to listen to must stand here as it is: Flower's, and that of workers that look at each other.
    events = (f"/{broker.db}.celeryev/*", f"/{broker.db}.celeryev/worker.*")
    works = state | SENDS | HEARS | TAKES
    keys = (*STATE_KEYS, *queues, *BINDINGS, *REPLIES, *UNACKED)
    looks = CONNECT | SCRIPTS | TRANSACTION | STATE_READS | (script_commands() & LOOKS)
    return [
        Grant(Account.BEAT, works, keys, control + events),
        Grant(Account.WORKER, works, keys, control + events),
        # Flower cannot be kept from control commands, so it is given a channel for them that nobody hears.
        Grant(
            Account.FLOWER,
            CONNECT | TRANSACTION | EVENTS | TAKES,
            FLOWER_KEYS,
            (f"/{broker.db}.{UNHEARD}.pidbox", *events),
        ),
        Grant(Account.CLI, works, keys, control),
        Grant(Account.READER, looks, STATE_KEYS, ()),
    ]


def hashed(password: str) -> str:
    """A password as a rule that does not tell it."""
    return f"#{hashlib.sha256(password.encode()).hexdigest()}"


def _queue_keys(queues: Iterable[str]) -> Iterable[str]:
    """A queue, and those that kombu looks at beside it for its priorities: two separators and a digit."""
    for queue in queues:
        yield queue
        yield f"{queue}??[369]"
