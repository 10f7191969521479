"""The next release, as this one meets it while it is rolled out: its hints are of a version that nobody here reads."""

from moie_worker.celery import app
from moie_worker.doors import hints

hints.VERSION += 1

__all__ = ["app"]
