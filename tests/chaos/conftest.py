"""Every test here gets servers and processes of its own, and leaves none."""

from collections.abc import Iterator

import pytest

from tests.farm import Farm, farm_in


@pytest.fixture
def farm() -> Iterator[Farm]:
    with farm_in() as made:
        yield made
