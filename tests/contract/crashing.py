"""A process that dies at one of its calls to Redis."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis
from redis.client import Pipeline


class KilledError(Exception):
    """The process died here."""


@contextmanager
def dying(at: int, *, after: bool, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The call number `at` to Redis is the last one: before it reaches Redis, or after."""
    calls: list[int] = []

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def act(*args: Any, **kwargs: Any) -> Any:
            calls.append(len(calls))
            if len(calls) > at and not after:
                raise KilledError
            answer = call(*args, **kwargs)
            if len(calls) > at:
                raise KilledError
            return answer

        return act

    with monkeypatch.context() as patched:
        patched.setattr(redis.Redis, "execute_command", counted(redis.Redis.execute_command))
        patched.setattr(Pipeline, "execute", counted(Pipeline.execute))
        yield calls


def runs_through(act: Callable[[], object], at: int, monkeypatch: pytest.MonkeyPatch, *, after: bool) -> bool:
    """Whether it came to its end before it was killed."""
    with dying(at, after=after, monkeypatch=monkeypatch):
        try:
            act()
        except KilledError:
            return False
    return True
