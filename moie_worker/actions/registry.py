"""The actions at hand: ours and those of other packages, all found by entry point."""

import logging
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from moie_worker.plan.states import Outcome
from moie_worker.plan.texts import one_line, printable
from moie_worker.ports import Action, ActionContext, Evidence

GROUP = "moie_worker.actions"
TRACE_LENGTH = 4096

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Registry:
    """Actions by the name that a plan uses.

    `broken` tells why a plugin could not be loaded; `defaults` are parameters that the settings give to an action
    where the plan does not.
    """

    actions: Mapping[str, Action]
    broken: Mapping[str, str]
    defaults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def check(self, use: str, params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Problems of a document's action: ("use", …) or ("with.<path>", …)."""
        if (why := self._missing(use)) is not None:
            yield "use", why
            return
        for path, message in self.actions[use].check(params):
            joint = "" if not path or path.startswith("[") else "."
            yield f"with{joint}{path}", message

    def run(self, use: str, context: ActionContext) -> Evidence:
        """Do it. An action that raises, or would exit, has failed; one that is not there is broken. Never raises."""
        if (why := self._missing(use)) is not None:
            return Evidence(Outcome.BROKEN, why)
        started = context.clock.monotonic()
        try:
            return self.actions[use].run(replace(context, params={**self.defaults.get(use, {}), **context.params}))
        except BaseException as error:
            log.warning("action %s of job %s raised", use, context.job, exc_info=True)
            message = one_line(f"action {use} raised {type(error).__name__}: {error}", 500)
            trace = printable("".join(traceback.format_exception(error)))[-TRACE_LENGTH:]
            took = context.clock.monotonic() - started
            return Evidence(Outcome.FAILED, message, tail=trace, duration_s=took)

    def _missing(self, use: str) -> str | None:
        if use in self.actions:
            return None
        if use in self.broken:
            return f'action "{use}" cannot be loaded: {self.broken[use]}'
        known = sorted({*self.actions, *self.broken})
        near = get_close_matches(use, known, n=1)
        hint = f'did you mean "{near[0]}"?' if near else f"known are {', '.join(known) or 'none'}"
        return f'no action is named "{use}"; {hint}'


def load(
    found: Iterable[EntryPoint] | None = None, defaults: Mapping[str, Mapping[str, Any]] | None = None
) -> Registry:
    """Load every plugin; a broken one is logged and kept out, so that it breaks only the jobs that name it."""
    actions: dict[str, Action] = {}
    broken: dict[str, str] = {}
    for entry in entry_points(group=GROUP) if found is None else found:
        if entry.name in actions:
            log.warning("action %s is offered twice; %s is not used", entry.name, entry.value)
            continue
        try:
            actions[entry.name] = _instance(entry)
            broken.pop(entry.name, None)
        except Exception as error:
            broken[entry.name] = one_line(f"{entry.value}: {type(error).__name__}: {error}", 500)
            log.warning("action %s cannot be loaded: %s", entry.name, broken[entry.name], exc_info=True)
    return Registry(actions, broken, defaults or {})


def _instance(entry: EntryPoint) -> Action:
    made = entry.load()()
    for method in ("check", "run"):
        if not callable(getattr(made, method, None)):
            raise TypeError(f"an action needs a method {method}")
    return made  # type: ignore[no-any-return]
