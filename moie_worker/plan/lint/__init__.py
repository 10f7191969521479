"""Checks that can fail: what a verification command proves, judged from its text alone. `rules` has the table."""
