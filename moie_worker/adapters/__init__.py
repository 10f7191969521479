"""The world: one module for each outside thing."""
