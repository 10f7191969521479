"""What the parts of the Redis store share."""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from redis import Redis

from moie_worker.adapters.redis.connect import address_of, translated
from moie_worker.adapters.redis.keys import Keys
from moie_worker.adapters.redis.scripts import Scripts
from moie_worker.errors import DamagedError, NotFoundError, RefusedError

# What the reading of a text raises that is not what it should be.
UNFIT = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


@contextmanager
def readable(what: str) -> Iterator[None]:
    """Around the reading of what Redis holds: what cannot be read becomes an error of ours and stops no other plan."""
    try:
        yield
    except UNFIT as error:
        raise DamagedError(
            f"{what} cannot be read ({type(error).__name__}: {error}). Did somebody write there, or a newer release? "
            "Go on with that release, or `moie backup restore`"
        ) from error


class Base:
    """One plan in Redis. The client must decode responses."""

    def __init__(self, client: "Redis", plan: str, scripts: Scripts | None = None) -> None:
        self.key = Keys(plan)
        self.plan = plan
        self.client = client
        self._scripts = scripts or Scripts(client)
        self._where = address_of(client)

    def call(self, operation: str, args: Any = ()) -> Any:
        """Run an operation on this plan."""
        return self.call_with(operation, [], args)

    def call_with(self, operation: str, keys: list[str], args: Any) -> Any:
        """Run an operation that names further keys."""
        with translated(self._where):
            return self._scripts.run(operation, [self.key("plan"), *keys], args)

    def readable(self, what: str) -> AbstractContextManager[None]:
        """Around the reading of what this plan holds. Raises DamagedError."""
        return readable(f"{what} of plan {self.plan} in Redis")

    def act(self, operation: str, args: Any, keys: Sequence[str] = ()) -> Any:
        """Run what must not be done twice, though the client asks again where an answer was lost."""
        return self.call_with(operation, [*keys, self.key("once", secrets.token_hex(8))], args)

    def reaching(self) -> AbstractContextManager[None]:
        """Around every other use of the client: its errors become ours."""
        return translated(self._where)


def accept(what: str, answer: str) -> None:
    """Turn the answer of an operator's script into an error that says what refused."""
    if answer == "ok":
        return
    if answer == "missing":
        raise NotFoundError(f"no {what}")
    if answer == "replayed":
        raise RefusedError(f"the {what} was replayed already")
    if answer.startswith(("waits for", "asks for")):
        raise RefusedError(f"{what} {answer}")
    raise RefusedError(f"{what} is {answer}")
