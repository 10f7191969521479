"""Every test here may have servers and processes of its own."""

from tests.farm import farm

__all__ = ["farm"]
