"""What every notebook asks of the items it is given."""

from collections.abc import Sequence

from moie_worker.ports import Item

MAX_VERSION = 2**53 - 1  # Redis' scripts count in doubles


def checked(items: Sequence[Item]) -> Sequence[Item]:
    """The items; ValueError for a version that cannot be kept digit for digit."""
    for item in items:
        if abs(item.version) > MAX_VERSION:
            raise ValueError(f"version {item.version} of item {item.key!r} is beyond ±{MAX_VERSION}")
    return items
