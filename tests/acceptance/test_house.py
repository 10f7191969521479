"""The rules of the house that import-linter and ruff cannot say."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "moie_worker"
MODULES = [ROOT / "beat_schedule.py", *sorted(PACKAGE.rglob("*.py"))]
OPERATIONS = sorted((PACKAGE / "adapters/redis/lua").glob("[!_]*.lua"))

LONGEST_MODULE = 300
LONGEST_FUNCTION = 40

# Who may import what; where a folder is named, whatever is below it may.
HOMES = {
    "redis": ("moie_worker/adapters/redis/",),
    "celery": ("moie_worker/celery.py", "moie_worker/doors/"),
    "kombu": ("moie_worker/celery.py", "moie_worker/doors/"),
    "subprocess": (
        "moie_worker/adapters/shell",  # commands of jobs
        "moie_worker/adapters/embedded",  # the parts of `moie up`
        "moie_worker/adapters/processes",
        "moie_worker/adapters/launcher",
        "moie_worker/adapters/parts",
        "moie_worker/adapters/control",  # `moie up --detach`
    ),
}
SPAWNERS = re.compile(r"os\.(posix_spawnp?|fork|forkpty|popen|system|exec[lv]p?e?|spawn[lv]p?e?)")

# Written so that this file does not match itself.
FOREIGN = {
    "a package registry": re.compile(r"(pypi|pythonhosted|npmjs|crates)\.(org|com|io)\b", re.IGNORECASE),
    "an index option": re.compile(r"^\s*--((extra-)?index-url|find-links|trusted-host)[ =]", re.MULTILINE),
    "a path of one machine": re.compile(r"(?<![\w./~-])/(work|root|home|Users|opt/wheels)/\w"),
}
NOT_OURS = {"__pycache__", "build", "dist", "node_modules"}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Name and number of lines of every function."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def imports(path: Path) -> Iterator[str]:
    """The top-level package of every import that is carried out, wherever in the file it stands."""
    typing_only = {id(inner) for node in ast.walk(tree(path)) if is_typing_block(node) for inner in ast.walk(node)}
    for node in ast.walk(tree(path)):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def is_typing_block(node: ast.AST) -> bool:
    """`if TYPE_CHECKING:` is for mypy; nothing in it happens."""
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def tracked() -> Iterator[Path]:
    """Every file that belongs to the project: no hidden folders but CI's, nothing that was built."""
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        hidden = any(part.startswith(".") for part in parts[:-1]) and parts[0] != ".ci"
        built = any(part in NOT_OURS or part.endswith(".egg-info") for part in parts)
        if path.is_file() and not hidden and not built:
            yield path


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_module_can_be_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_MODULE


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_function_fits_on_a_screen(path: Path) -> None:
    assert [found for found in functions(path) if found[1] > LONGEST_FUNCTION] == []


@pytest.mark.parametrize("library", HOMES)
def test_a_wire_library_has_one_home(library: str) -> None:
    users = [name(path) for path in MODULES if library in imports(path)]
    assert [user for user in users if not user.startswith(HOMES[library])] == []


def test_processes_are_started_in_their_adapters_only() -> None:
    users = [name(path) for path in MODULES if SPAWNERS.search(ast.unparse(tree(path)))]
    assert [user for user in users if not user.startswith(HOMES["subprocess"])] == []


@pytest.mark.parametrize("path", OPERATIONS, ids=name)
def test_a_redis_operation_says_what_it_takes_and_returns(path: Path) -> None:
    """A shared part (`lib_…`) says what it is for; an operation names its keys, its arguments and its answer."""
    text = path.read_text(encoding="utf-8")
    header = text[: re.search(r"^(?!--)", text, re.MULTILINE).start()]  # type: ignore[union-attr]
    wanted = [] if path.name.startswith("lib_") else ["KEYS", "ARGV", "RETURNS"]
    assert header.startswith("--")
    assert [part for part in wanted if f"-- {part}" not in header] == []


@pytest.mark.parametrize("what", FOREIGN)
def test_the_project_names_no_registry_and_no_machine(what: str) -> None:
    found = []
    for path in tracked():
        text = path.read_text(encoding="utf-8", errors="replace")
        found += [f"{name(path)}: {match.group()}" for match in FOREIGN[what].finditer(text)]
    assert found == []
