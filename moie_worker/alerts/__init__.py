"""Alerts: when somebody has to be told, and where it is said."""
