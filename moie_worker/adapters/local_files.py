"""When files of this machine were written."""

from datetime import UTC, datetime
from pathlib import Path


class LocalFiles:
    """The files of this machine, as its commands see them."""

    def modified(self, path: str, cwd: str | None) -> datetime | None:
        """When a file was last written; None when it is not there to be seen."""
        try:
            return datetime.fromtimestamp((Path(cwd or ".") / path).stat().st_mtime, UTC)
        except (OSError, ValueError, OverflowError):  # ValueError: a NUL in the path; both: a time of no calendar
            return None
