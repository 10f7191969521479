"""Proof of done, with real workers, beats and commands: from a verified job to a file that an auditor reads."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from moie_worker.adapters.keys import KeyFolder, KeyRing, Role
from moie_worker.adapters.redis.store import RedisStore
from moie_worker.heart.receipts import Sealer
from moie_worker.plan.receipts import command_digest, read_link, sha256
from tests.celery_kit import ROOT
from tests.cli_kit import Cli, cli
from tests.farm import Farm, wait_until
from tests.receipt_kit import Memory, packed, receipt

__all__ = ["cli"]
pytestmark = pytest.mark.integration

CHECK = "echo it is done"


def moie(home: Path, *args: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """The command line in a process of its own that knows no Redis but one that is not there."""
    told = {"MOIE_HOME": str(home), "MOIE_REDIS_URL": "redis://:x@127.0.0.1:1/0", "PYTHONPATH": str(ROOT)} | env
    command = [sys.executable, "-W", "ignore", "-m", "moie_worker", *args]
    return subprocess.run(command, env={**os.environ, **told}, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def export(farm: Farm) -> Path:
    """What three jobs that two workers verified have left, exported once a heartbeat had sealed it."""
    file = farm.directory / "receipts.jsonl"
    farm.load(*({"id": f"j{n}", "task": "t", "verification_cmd": CHECK} for n in range(3)))
    farm.worker("w1")
    farm.worker("w2")
    farm.beat()
    wait_until(lambda: farm.store.receipts_kept() == 3, "three receipts")
    wait_until(lambda: '"count":3' in farm.store.last_seal(), "a heartbeat sealed them")
    done = moie(farm.directory / "home", "receipts", "export", str(file), "--plan", "test", **farm.settings)
    assert done.returncode == 0, done.stderr
    return file


def test_a_verified_job_is_proven_by_a_file_without_redis(farm: Farm, export: Path) -> None:
    home = farm.directory / "home"
    said = moie(home, "receipts", "verify", "--from", str(export), "--json")
    assert said.returncode == 0, said.stdout + said.stderr
    verdict = json.loads(said.stdout)
    assert (verdict["verified"], verdict["plan"], verdict["first"], verdict["last"]) == (True, "test", 1, 3)
    links = [read_link(line) for line in export.read_text().splitlines()[:-1]]
    assert sorted(link.receipt.job for link in links) == ["j0", "j1", "j2"]
    for link in links:
        evidence = farm.store.job(link.receipt.job).evidence
        assert (link.receipt.command, link.receipt.output) == (command_digest(CHECK), sha256("it is done\n"))
        assert (link.receipt.token, link.receipt.exit_code) == (evidence["token"], 0)
        assert (link.receipt.started_at, link.receipt.ended_at) == (evidence["started_at"], evidence["ended_at"])
        assert (link.receipt.worker, link.receipt.revision) == (evidence["worker"], 1)
    head = verdict["head"]
    assert any(f"head {head}" in entry.data["report"] for entry in farm.journal("heartbeat"))
    assert moie(home, "receipts", "verify", "--from", str(export), "--head", head).returncode == 0
    (key,) = (home / "keys").glob("*.worker.key")
    assert key.stat().st_mode & 0o777 == 0o600


def test_an_auditor_needs_the_public_key_alone_and_finds_what_was_changed(farm: Farm, export: Path) -> None:
    (key,) = KeyFolder(farm.directory / "home" / "keys").held(Role.WORKER)
    auditor = farm.directory / "auditor"
    auditor.mkdir()
    (auditor / "worker.pub").write_text(key.text)

    def verify(text: str) -> tuple[int, str]:
        (auditor / "copy").write_text(text)
        args = ("receipts", "verify", "--from", "copy", "--keys", "worker.pub")
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "moie_worker", *args],
            cwd=auditor, env={"PATH": os.defpath, "PYTHONPATH": str(ROOT), "MOIE_HOME": str(auditor / "home")},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    whole = export.read_text()
    lines = whole.splitlines(keepends=True)
    assert verify(whole) == (0, verify(whole)[1])
    assert verify(whole.replace('"exit_code":0', '"exit_code":1', 1))[0] == 1
    assert "receipt 2 is missing" in verify("".join([lines[0], *lines[2:]]))[1]
    assert "moved or doubled" in verify("".join([lines[1], lines[0], *lines[2:]]))[1]
    code, said = verify("".join(lines[:-1]))
    assert (code, "the tail is cut" in said) == (1, True)
    assert not (auditor / "home").exists(), "a look makes no key"


# -- the command line in this process -------------------------------------------------------------------


@pytest.fixture
def sealed(cli: Cli, redis_client: "redis.Redis") -> RedisStore:
    """Two receipts that are sealed and one that is not, by the worker of this machine."""
    store = RedisStore(redis_client, "default")
    key = KeyFolder(cli.home / "keys").make("here", Role.WORKER)
    for number in (1, 2, 3):
        (text,) = packed(key, receipt(number, plan="default"))
        store.client.xadd(store.key("receipts"), {"r": text})
        if number == 2:
            Sealer(key, KeyRing([key.public]), 1000, "w@h", Memory()).seal(store, "default", 1_800_000_000_000)
    return store


def test_receipts_are_listed_with_what_is_not_sealed_yet(cli: Cli, sealed: RedisStore) -> None:
    found = cli.json("receipts", "list")
    assert [(each["number"], each["sealed"], each["receipt"]["job"]) for each in found] == [
        (1, True, "j1"), (2, True, "j2"), (3, False, "j3"),
    ]  # fmt: skip
    assert [each["number"] for each in cli.json("receipts", "list", "--limit", "1")] == [3]
    assert "not sealed yet" in cli.says("receipts", "list").splitlines()[-1]


def test_an_entry_that_no_worker_wrote_is_listed_as_such(cli: Cli, sealed: RedisStore) -> None:
    sealed.client.xadd(sealed.key("receipts"), {"r": "x"})
    assert "not written by a worker" in cli.says("receipts", "list").splitlines()[-1]
    assert cli.json("receipts", "list")[-1] == {"number": 4, "sealed": False, "receipt": None}


def test_a_plan_without_receipts_says_so(cli: Cli) -> None:
    assert cli.says("receipts", "list") == "no receipts: a job that is verified leaves one\n"
    assert "no receipt is sealed yet" in cli.fails(1, "receipts", "export")


def test_what_is_in_redis_can_be_verified_there(cli: Cli, sealed: RedisStore) -> None:
    assert cli.says("receipts", "verify").startswith("verified: 2 receipts of plan default, 1 to 2\n")
    first = sealed.receipts_after("", 1)[0].id
    sealed.client.xdel(sealed.key("receipts"), first)
    done = cli.run("receipts", "verify")
    assert done.exit_code == 1
    assert "NOT PROVEN" in done.stdout


def load_one(cli: Cli, folder: Path) -> None:
    file = folder / "plan.yaml"
    file.write_text("{version: 3, phases: [{id: 1, name: ONE, jobs: [{id: a, task: t, verification_cmd: 'true'}]}]}")
    cli.says("load", str(file))


def doctored(cli: Cli) -> dict[str, str]:
    found: list[dict[str, str]] = json.loads(cli.run("doctor", "--json").stdout)
    return next(each for each in found if each["check"] == "receipts")


def test_status_and_doctor_say_where_the_receipts_stand(cli: Cli, sealed: RedisStore, tmp_path: Path) -> None:
    load_one(cli, tmp_path)
    key = KeyFolder(cli.home / "keys").signer("here", Role.WORKER).key_id
    told = f"2 sealed · 1 wait for a heartbeat · 2027-01-15 08:00:00 UTC by w@h, key {key}"
    assert told in cli.says("status")
    found = cli.json("status")["receipts"]
    assert (found["sealed"], found["waiting"], found["trusted"], found["signer"]) == (2, 1, True, key)
    assert doctored(cli) == {
        "check": "receipts", "status": "ok", "message": f"verified: {told}; signed by {key}"
    }  # fmt: skip


def test_a_receipt_that_was_changed_is_a_fault_for_the_doctor(cli: Cli, sealed: RedisStore, tmp_path: Path) -> None:
    load_one(cli, tmp_path)
    first = sealed.receipts_after("", 1)[0]
    sealed.client.xdel(sealed.key("receipts"), first.id)
    found = doctored(cli)
    assert (found["status"], "`moie receipts verify` names all" in found["message"]) == ("fault", True)


def test_a_seal_of_somebody_else_is_said(cli: Cli, sealed: RedisStore, tmp_path: Path) -> None:
    load_one(cli, tmp_path)
    (cli.home / "keys" / "here.worker.key").unlink()
    assert "NOT TRUSTED: the newest seal is not signed by a key trusted here" in cli.says("status")
    assert doctored(cli)["status"] == "fault"


def test_an_export_goes_to_a_file_that_is_not_there_yet(cli: Cli, sealed: RedisStore, tmp_path: Path) -> None:
    file = str(tmp_path / "r.jsonl")
    assert cli.says("receipts", "export") == cli.run("receipts", "export", "-").stdout
    cli.says("receipts", "export", file)
    assert Path(file).read_text() == cli.says("receipts", "export")
    assert "is there already" in cli.fails(2, "receipts", "export", file)
    cli.says("receipts", "export", file, "--force")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["r.jsonl"]
    assert cli.run("receipts", "verify", "--from", "-", stdin=Path(file).read_bytes()).exit_code == 0


def test_keys_of_others_do_not_count(cli: Cli, sealed: RedisStore, tmp_path: Path) -> None:
    other = KeyFolder(tmp_path / "elsewhere").make("other", Role.WORKER)
    (tmp_path / "other.pub").write_text(other.public.text)
    done = cli.run("receipts", "verify", "--keys", str(tmp_path / "other.pub"))
    assert (done.exit_code, done.stdout.count("is not signed by the key")) == (1, 3)
    author = KeyFolder(tmp_path / "elsewhere").make("author", Role.AUTHOR)
    (tmp_path / "author.pub").write_text(author.public.text)
    assert "is of an author" in cli.fails(2, "receipts", "verify", "--keys", str(tmp_path / "author.pub"))


def test_wrong_use_is_answered_in_words(cli: Cli, sealed: RedisStore, tmp_path: Path) -> None:
    assert "cannot be read" in cli.fails(2, "receipts", "verify", "--from", str(tmp_path / "nothing"))
    (tmp_path / "empty").write_text("")
    assert "holds no public key" in cli.fails(2, "receipts", "verify", "--keys", str(tmp_path / "empty"))
    long = tmp_path / "long"
    long.write_text("x" * 200_000)
    done = cli.run("receipts", "verify", "--from", str(long))
    assert (done.exit_code, "is no receipt" in done.stdout) == (1, True)
