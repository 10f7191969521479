"""Payloads by chance through a real worker; `make fuzz` does more of them."""

from random import Random

import pytest

from tests.farm import say
from tests.fuzz.worker import live

pytestmark = [pytest.mark.chaos, pytest.mark.whole]


@pytest.mark.fault(15)
def test_random_payloads_are_letters_or_tasks_and_the_worker_lives(rng: Random) -> None:
    lived = live(rng.randrange(10**9), 1000)
    say(f"{lived.letters} of {lived.given} payloads are letters; {lived.restarts} restarts, {lived.seconds:.1f} s")
    assert lived.restarts <= 1
    assert lived.letters > lived.given / 4
