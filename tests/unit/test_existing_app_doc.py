"""The how-to on existing applications does what it says."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from moie_worker.adapters.memory_dead_letters import MemoryRunLog
from moie_worker.doors.watch import Watcher, watcher_of
from moie_worker.plan.letters import Watched

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "existing-celery-app.md"
EXAMPLE = re.compile(r"<!-- example: (\S+) -->\n```\w+\n(.*?)```", re.DOTALL)
EXAMPLES = dict(EXAMPLE.findall(PAGE.read_text(encoding="utf-8")))


def example(name: str) -> dict[str, Any]:
    """What the module of an example defines."""
    # Celery shares tasks between applications by name, so every test needs a module name of its own.
    defined: dict[str, Any] = {"__name__": f"{name.removesuffix('.py')}_{uuid4().hex}"}
    exec(compile(EXAMPLES[name], name, "exec"), defined)
    return defined


@pytest.fixture
def watched(request: pytest.FixtureRequest) -> Iterator[tuple[dict[str, Any], Watcher]]:
    """An example and the watcher of its application, which listens no more afterwards."""
    defined = example(request.param)
    defined["app"].finalize()
    watcher = watcher_of(defined["app"])
    yield defined, watcher
    watcher.disconnect()


@pytest.mark.parametrize(
    ("watched", "task"), [("shop.py", "charge"), ("precious.py", "precious")], indirect=["watched"]
)
def test_the_tasks_of_the_examples_are_watched(watched: tuple[dict[str, Any], Watcher], task: str) -> None:
    defined, watcher = watched
    assert watcher.mine(defined["app"].tasks[f"{defined['__name__']}.{task}"])


@pytest.mark.parametrize("watched", ["precious.py"], indirect=True)
def test_other_tasks_are_not_watched_beside_the_class(watched: tuple[dict[str, Any], Watcher]) -> None:
    defined, watcher = watched
    assert not watcher.mine(defined["app"].tasks["celery.backend_cleanup"])


def test_the_measured_callable_is_in_the_run_log(capsys: pytest.CaptureFixture[str]) -> None:
    runs = MemoryRunLog(lambda: datetime(2026, 3, 1, tzinfo=UTC))
    example("backup.py")["backup"](runs)
    assert capsys.readouterr().out == "copying\n"
    assert runs.watched() == [Watched("backup", timedelta(hours=24))]
    assert runs.history("backup").runs == 1


def test_the_hardened_application_has_the_sieve_and_shows_no_address() -> None:
    app = example("hard.py")["app"]
    connection = app.connection_for_write()
    assert connection.get_transport_cls().__name__ == "SievedTransport"
    assert connection.as_uri(include_password=True) == "redis://localhost:6379/0"
    assert app.conf.worker_consumer == "moie_worker.doors.patient_consumer:PatientConsumer"
    assert "://" not in repr(app.conf.broker_transport_options)
