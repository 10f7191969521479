"""The heart: steps between Redis, beats and workers, written against ports only."""
