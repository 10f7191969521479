"""Calls to Redis that may fail without harm: leases and sweeps put it right."""

import logging
from collections.abc import Callable
from typing import TypeVar

from moie_worker.errors import MoieError

T = TypeVar("T")

log = logging.getLogger(__name__)


def quietly(call: Callable[[], T], what: str) -> T | None:
    """Call Redis; None, and a line in the log, when it does not do it."""
    try:
        return call()
    except MoieError as error:
        log.warning("cannot %s: %s", what, error)
        return None
