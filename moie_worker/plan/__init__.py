"""The plan: pure values and rules. Nothing here reads a clock, a file or the network."""
