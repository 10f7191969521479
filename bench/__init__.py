"""Measurements of this machine: `make bench`. Figures to look at, not tests with limits."""
