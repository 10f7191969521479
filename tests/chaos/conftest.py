"""Every test here may have servers and processes of its own, and ends with the oracle."""

from collections.abc import Iterator

import pytest

from tests.chaos import oracle
from tests.farm import Farm, farm_in


@pytest.fixture
def farm() -> Iterator[Farm]:
    """Servers and processes of the test's own, which leave nothing; no promise may be broken when it ends."""
    with farm_in() as made:
        yield made
        oracle.unbroken(made)
