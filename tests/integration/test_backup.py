"""Backup, restore and rollback by command, on a real Redis."""

from pathlib import Path

import pytest
import redis

from moie_worker import settings
from moie_worker.adapters.redis.connect import connect
from moie_worker.adapters.redis.store import RedisStore
from moie_worker.doors.cli.desk import Desk
from moie_worker.doors.cli.files import read_document
from moie_worker.doors.cli.plans import begin_load
from moie_worker.plan.compile import compile_plan
from moie_worker.plan.documents import MIB
from moie_worker.plan.states import Outcome, Place
from moie_worker.wiring import System
from tests.cli_kit import PLAN, Cli, cli, digest, settled

__all__ = ["cli"]


@pytest.fixture
def store(redis_url: str, cli: Cli, tmp_path: Path) -> RedisStore:
    """A loaded plan whose first job is verified."""
    file = tmp_path / "plan.yaml"
    file.write_text(PLAN)
    cli.says("load", str(file))
    made = RedisStore(connect(redis_url), "default")
    settled(made, "1.1", duration_ms=12)
    return made


def take(cli: Cli) -> dict[str, str]:
    return dict(cli.json("backup", "create"))


def places(store: RedisStore) -> dict[str, Place]:
    return {view.definition.id: view.place for view in store.all_jobs()}


def test_a_restore_into_an_empty_redis_has_the_digest_that_was_saved(
    cli: Cli, store: RedisStore, redis_client: "redis.Redis"
) -> None:
    cli.says("approve", "2", "--why", "looked at it")
    settled(store, "1.2", Outcome.BROKEN, Place.DEAD, reason="cannot be run")
    before = take(cli)
    evidence = store.job("1.1").evidence
    redis_client.flushall()
    restored = cli.json("backup", "restore")
    assert restored["snapshot"] == before["name"]
    after = take(cli)
    assert after["digest"] == before["digest"]
    assert int(after["revision"]) == int(before["revision"]) + 1
    assert store.job("1.1").evidence == evidence
    assert store.overview().approvals[2].yes[0].why == "looked at it"
    assert cli.json("dead", "list")[0]["reason"] == "cannot be run"


def test_it_is_kept_in_redis_and_on_disk_for_its_owner_only(cli: Cli, store: RedisStore) -> None:
    name = take(cli)["name"]
    (listed,) = cli.json("backup", "list")
    assert listed["name"] == name
    assert [place.partition(" ")[0] for place in listed["kept"]] == [str(cli.home / "snapshots" / "default"), "Redis"]
    file = cli.home / "snapshots" / "default" / f"{name}.moie"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_a_rollback_is_told_before_and_undone_by_another(cli: Cli, store: RedisStore) -> None:
    before = take(cli)
    settled(store, "1.2")
    seen = digest(store.client)
    told = cli.json("rollback", "--to", before["name"], "--dry-run")
    assert told["changes"] == {"completed -> open": ["1.2"]}
    assert digest(store.client) == seen, "a dry run changes nothing"
    cli.says("rollback", "--to", before["name"], "--why", "too early")
    assert places(store)["1.2"] is Place.READY
    replaced = next(each["name"] for each in cli.json("backup", "list") if each["kind"] == "replaced")
    cli.says("rollback", "--to", replaced)
    assert places(store)["1.2"] is Place.COMPLETED
    assert "restored as revision 2" in cli.says("journal")


def kinds(cli: Cli) -> list[str]:
    return [each["kind"] for each in cli.json("backup", "list")]


def promoted(cli: Cli, store: RedisStore) -> None:
    """The second phase is reached; no heartbeat comes."""
    settled(store, "1.2")
    cli.says("approve", "2")
    settled(store, "2.1")
    assert len(store.captures()) == 2


def test_what_promotions_left_is_written_before_another_revision_is_loaded(
    cli: Cli, store: RedisStore, tmp_path: Path
) -> None:
    promoted(cli, store)
    cli.says("load", str(tmp_path / "plan.yaml"))
    assert kinds(cli) == ["promotion", "promotion"]
    assert store.captures() == []


def without(job: str, tmp_path: Path) -> str:
    """The file of the plan without one of its jobs, and without a project, as the shortest plans are."""
    kept = [line for line in PLAN.splitlines() if f'"{job}"' not in line and not line.startswith("meta")]
    file = tmp_path / "shorter.yaml"
    file.write_text("\n".join(kept))
    return str(file)


def test_what_a_load_removes_comes_back_by_a_rollback(cli: Cli, store: RedisStore, tmp_path: Path) -> None:
    cli.says("load", without("1.1", tmp_path))
    assert "1.1" not in places(store)
    (replaced,) = cli.json("backup", "list")
    assert replaced["kind"] == "replaced"
    cli.says("rollback", "--to", replaced["name"])
    assert places(store)["1.1"] is Place.COMPLETED


def test_starting_a_system_puts_no_other_plan_in_the_place_of_one_that_is_there(
    cli: Cli, store: RedisStore, tmp_path: Path
) -> None:
    desk = Desk(System(settings.load()), "moie up")
    nameless = read_document(without("1.1", tmp_path)).plan
    assert "goes on with it" in begin_load(desk, compile_plan(nameless, 0)), "one has a project, one has none"
    (tmp_path / "other.yaml").write_text(PLAN.replace("A project", "Another"))
    said = begin_load(desk, compile_plan(read_document(str(tmp_path / "other.yaml")).plan, 0))
    assert said == "default holds A project and goes on with it; `moie load FILE` replaces it"
    cli.says("load", without("1.1", tmp_path))
    other = nameless.model_copy(update={"phases": nameless.phases[-1:]})
    said = begin_load(desk, compile_plan(other, 0))
    assert said == "default holds a plan without a project and goes on with it; `moie load FILE` replaces it"
    assert set(places(store)) == {"1.2", "2.1", "5.1"}
    again = read_document(str(tmp_path / "plan.yaml")).plan.model_copy(update={"meta": nameless.meta})
    assert "loaded, revision 3" in begin_load(desk, compile_plan(again, 0)), "of the same, most jobs stay"


def test_what_promotions_left_is_written_before_a_rollback(cli: Cli, store: RedisStore) -> None:
    name = take(cli)["name"]
    promoted(cli, store)
    cli.says("rollback", "--to", name)
    assert kinds(cli) == ["manual", "promotion", "promotion", "replaced"]


def test_a_load_goes_on_where_what_promotions_left_cannot_be_written(
    cli: Cli, store: RedisStore, tmp_path: Path
) -> None:
    promoted(cli, store)
    cli.home.mkdir(exist_ok=True)
    (cli.home / "snapshots").write_text("no directory")
    loaded = cli.run("load", str(tmp_path / "plan.yaml"))
    assert (loaded.exit_code, "warning: cannot keep a snapshot" in loaded.stderr) == (0, True), loaded.output
    assert kinds(cli) == ["promotion", "promotion"], "Redis keeps them"


def test_a_loaded_plan_is_not_replaced_by_a_command_without_a_name(cli: Cli, store: RedisStore) -> None:
    take(cli)
    assert "name the snapshot" in cli.fails(2, "backup", "restore")
    assert "no snapshot '20260101T000000.000Z-r1-manual'" in cli.fails(
        1, "rollback", "--to", "20260101T000000.000Z-r1-manual"
    )
    assert "no snapshot" in cli.fails(1, "rollback", "--to", "../../secrets")


def test_a_damaged_file_is_refused_and_the_other_copy_is_taken(
    cli: Cli, store: RedisStore, redis_client: "redis.Redis"
) -> None:
    name = take(cli)["name"]
    file = cli.home / "snapshots" / "default" / f"{name}.moie"
    raw = bytearray(file.read_bytes())
    raw[-10] ^= 1
    file.write_bytes(raw)
    cli.says("backup", "restore", name, "--dry-run")  # from Redis
    redis_client.flushall()
    assert "is damaged" in cli.fails(2, "backup", "restore")
    assert redis_client.hget("moie:{default}:plan", "revision") is None


def test_a_link_in_place_of_a_file_is_not_followed(cli: Cli, store: RedisStore, redis_client: "redis.Redis") -> None:
    name = take(cli)["name"]
    file = cli.home / "snapshots" / "default" / f"{name}.moie"
    file.rename(file.with_name("elsewhere"))
    file.symlink_to("elsewhere")
    redis_client.flushall()
    assert "no snapshot" in cli.fails(1, "backup", "restore")
    assert "cannot read" in cli.fails(1, "backup", "restore", name)


def test_a_file_from_elsewhere_restores_under_another_name(cli: Cli, store: RedisStore) -> None:
    name = take(cli)["name"]
    file = str(cli.home / "snapshots" / "default" / f"{name}.moie")
    cli.says("backup", "restore", "--from", file, "--plan", "copy")
    assert places(RedisStore(store.client, "copy"))["1.1"] is Place.COMPLETED


def test_a_restore_says_what_workers_here_would_refuse_of_it(cli: Cli, store: RedisStore) -> None:
    unsigned = take(cli)["name"]
    public = cli.says("keys", "make", "ops", "--role", "author")
    assert "refuse" not in cli.run("rollback", "--to", unsigned).stderr
    cli.run("keys", "trust", "-", stdin=public.encode())
    tried = cli.run("rollback", "--to", unsigned, "--dry-run")
    assert "warning: workers of this machine refuse 4 of its jobs: refused: job 1.1 is not signed" in tried.stderr
    assert cli.run("load", "-", "--sign-key", "ops", stdin=PLAN.encode()).exit_code == 0
    signed = take(cli)["name"]
    assert "refuse" not in cli.run("rollback", "--to", signed).stderr
    file = cli.home / "snapshots" / "default" / f"{signed}.moie"
    assert cli.json("backup", "restore", "--from", str(file), "--plan", "copy")["refused"] == 4


def test_a_file_that_is_larger_than_a_plan_may_be_is_read_as_a_snapshot(
    cli: Cli, store: RedisStore, tmp_path: Path
) -> None:
    large = tmp_path / "large.moie"
    large.write_bytes(b"x" * (33 * MIB))
    assert "is no snapshot of this version" in cli.fails(2, "backup", "restore", "--from", str(large))
    assert "at most 32 MiB are read: load it in parts" in cli.fails(2, "validate", str(large))


def test_a_disk_that_takes_nothing_is_said_and_redis_keeps_it(cli: Cli, store: RedisStore) -> None:
    first = take(cli)["name"]
    folder = cli.home / "snapshots" / "default"
    (folder / "elsewhere").mkdir()
    folder.rename(cli.home / "kept")
    folder.write_text("a file where the directory should be")
    done = cli.run("backup", "create")
    assert done.exit_code == 1
    assert "cannot keep a snapshot" in done.stderr
    names = [each["name"] for each in cli.json("backup", "list")]
    assert len(names) == 2
    assert (cli.home / "kept" / f"{first}.moie").exists()
