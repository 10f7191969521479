"""The users of `moie acl`: what they are granted is what this release needs, and compose.yaml says the same."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from moie_worker.adapters.redis import acl
from moie_worker.adapters.redis.acl import Account, Broker, grants, hashed, script_commands
from moie_worker.doors.cli.acl import variable
from moie_worker.doors.cli.main import moie

ROOT = Path(__file__).parents[2]
ADAPTER = ROOT / "moie_worker" / "adapters" / "redis"
SENT = re.compile(r"\b(?:client|_client|pipe)\.([a-z_]+)\(")
NO_COMMANDS = {"pipeline", "execute", "register_script", "from_url", "close"}
OTHER_NAMES = {"delete": "del", "hscan_iter": "hscan", "scan_iter": "scan"}


def test_every_command_that_the_adapter_sends_is_granted_to_who_works() -> None:
    sent = {name for path in ADAPTER.glob("*.py") for name in SENT.findall(path.read_text(encoding="utf-8"))}
    commands = {OTHER_NAMES.get(name, name) for name in sent - NO_COMMANDS}
    assert len(commands) > 15
    for grant in grants(Broker()):
        if grant.account in (Account.BEAT, Account.WORKER, Account.CLI):
            assert commands - grant.commands == set(), "add it to STATE_READS or STATE_WRITES of acl.py"


def test_every_command_of_a_script_is_found_and_granted_to_who_works() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in (ADAPTER / "lua").glob("*.lua"))
    assert len(re.findall(r"redis\.p?call\(", text)) == len(acl.CALLS.findall(text))
    assert {"hset", "zadd", "xadd", "sadd", "srem", "time"} <= script_commands()
    worker = next(grant for grant in grants(Broker()) if grant.account is Account.WORKER)
    assert script_commands() <= worker.commands


def test_nobody_is_granted_the_server() -> None:
    for grant in grants(Broker()):
        assert not grant.commands & {
            "flushall",
            "config",
            "acl",
            "keys",
            "eval",
            "script",
            "client",
            "debug",
            "shutdown",
        }
        assert not {"*", ""} & {*grant.keys, *grant.channels}


def test_every_queue_and_the_database_of_the_broker_are_named() -> None:
    worker = next(grant for grant in grants(Broker(("gpu", "scan"), 3)) if grant.account is Account.WORKER)
    assert {"gpu", "gpu??[369]", "scan", "scan??[369]"} <= set(worker.keys)
    assert "default" not in worker.keys
    assert "/3.celery.pidbox" in worker.channels


def with_users(compose: str) -> str:
    """The text of compose.yaml with the users of this release; its queues are found when Redis starts."""
    rules = [grant.rules(f">$${variable(grant.account)}") for grant in grants(Broker(("QUEUE",)))]
    lines = [f"        user {rule.replace('~QUEUE ~QUEUE??[369]', '$$queues')}\n" for rule in rules]
    return re.sub(r"(?: {8}user [^\n]*\n)+", lambda _: "".join(lines), compose)


def test_compose_has_the_users_that_are_printed() -> None:
    path = ROOT / "compose.yaml"
    assert path.read_text(encoding="utf-8") == with_users(path.read_text(encoding="utf-8")), (
        'write it again: python -c \'from tests.unit.test_acl import *; p = ROOT / "compose.yaml"; '
        "p.write_text(with_users(p.read_text()))'"
    )


def test_the_command_keeps_its_passwords_and_prints_digests_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOIE_HOME", str(tmp_path / "home"))
    first, second = (CliRunner().invoke(moie, ["acl"]) for _ in range(2))
    assert first.exit_code == 0
    assert first.stdout == second.stdout
    path = tmp_path / "home" / "acl.secret"
    assert path.stat().st_mode & 0o777 == 0o600
    passwords = dict(line.split("=") for line in path.read_text().splitlines())
    assert len(set(passwords.values())) == len(Account)
    lines = first.stdout.splitlines()
    for account, line in zip(Account, lines, strict=True):
        assert line.startswith(f"user {account} reset resetchannels on {hashed(passwords[account])} ")
        assert passwords[account] not in first.output


@pytest.mark.parametrize("text", ["", "beat=short", "beat=long-enough-password\nworker=long-enough-password"])
def test_a_file_that_lacks_a_good_password_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "passwords"
    path.write_text(text)
    done = CliRunner().invoke(moie, ["acl", "--passwords", str(path)])
    assert done.exit_code == 2
    assert "PASSWORD of at least 12 characters" in done.stderr
