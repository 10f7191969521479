"""The documents say what is so: their plans are good ones, their commands exist, their links lead somewhere."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from moie_worker.doors.cli.files import checkers
from moie_worker.doors.cli.main import moie
from moie_worker.plan.journal import SENTENCES
from moie_worker.plan.reading import read_plan
from moie_worker.plan.states import Outcome, Place
from moie_worker.plan.times import moment
from moie_worker.settings import OURS, variables

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
LUA = ROOT / "moie_worker" / "adapters" / "redis" / "lua"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
SETTING = re.compile(r"\bMOIE_[A-Z][A-Z_]*[A-Z]\b")

WORDS = re.compile(r"^moie ([a-z][a-z-]*(?: .*)?)$")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def commands(page: str) -> Iterator[str]:
    """Whatever follows `moie ` in blocks of code and between backticks, without comments."""
    lines = [line for _, block in BLOCK.findall(page) for line in block.splitlines()]
    lines += re.findall(r"`([^`\n]+)`", BLOCK.sub("", page))
    for line in lines:
        if found := WORDS.match(line.partition(" #")[0].strip()):
            yield found[1]


def resolve(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that words name, and what is left of them."""
    command: click.Command = moie
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(click.Context(command), words[0])
        assert found is not None, f"there is no `moie {' '.join(words)}`"
        command, words = found, words[1:]
    return command, words


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_that_is_named_exists_with_its_options(page: Path) -> None:
    for named in commands(text(page)):
        words = named.split()
        command, rest = resolve(words)
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        used = {word.partition("=")[0] for word in rest if re.fullmatch(r"--?[a-z][a-z-]*(=.*)?", word)}
        assert used <= known, f"`moie {named}`: {used - known} is no option"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_plan_is_a_good_one(page: Path) -> None:
    known = {**checkers(), "disk_report": lambda _: iter(())}  # the action that a how-to writes, tested there
    for _, block in BLOCK.findall(text(page)):
        if re.search(r"^version: 3$", block, re.MULTILINE) and "phases:" in block:
            read_plan(block.encode(), name=name(page), now=moment(0), actions=known)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_to_a_file(page: Path) -> None:
    for target in LINK.findall(BLOCK.sub("", text(page))):
        if not re.match(r"[a-z]+:", target):
            path = page.parent / target.partition("#")[0]
            assert path.exists(), f"{target}: no such file"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_setting_that_is_named_exists(page: Path) -> None:
    compose = SETTING.findall(text(ROOT / "compose.yaml"))
    assert set(SETTING.findall(text(page))) <= {*variables(), *OURS, *compose}


def test_the_index_names_every_page() -> None:
    linked = {(DOCS / target).resolve() for target in LINK.findall(text(DOCS / "README.md"))}
    pages = {path for path in DOCS.rglob("*.md") if path != DOCS / "README.md"}
    assert {name(path) for path in pages - linked} == set()


def test_every_line_of_the_celery_configuration_has_its_reason() -> None:
    """Read from the source: importing the module makes an application, which needs a Redis."""
    page = text(DOCS / "explanation" / "celery-configuration.md")
    source = text(ROOT / "moie_worker" / "celery.py")
    source = source.partition("def configuration")[2].partition("\ndef beat_schedule")[0]
    keys = re.findall(r'^ {8}"(\w+)":', source, re.MULTILINE)
    assert keys
    assert [key for key in keys if f"`{key}`" not in page] == []


def test_every_event_of_the_journal_is_on_its_page() -> None:
    page = text(DOCS / "reference" / "journal.md")
    scripts = "\n".join(path.read_text() for path in LUA.glob("*.lua"))
    written = set(re.findall(r"journal(?:_note)?\((?:p, )?'([a-z]+(?:\.[a-z_]+)?)'", scripts))
    assert [event for event in {*SENTENCES, *written} if f"`{event}`" not in page] == []


def test_places_and_outcomes_are_in_the_glossary() -> None:
    page = text(DOCS / "reference" / "glossary.md")
    assert [word for word in (*Place, *Outcome) if word.replace("_", " ") not in page] == []


def test_the_promise_is_the_same_everywhere() -> None:
    promise = "run at least once and settled exactly once"
    for page in (ROOT / "README.md", DOCS / "explanation" / "heart.md"):
        assert promise in " ".join(text(page).split())
