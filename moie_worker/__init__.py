"""moie-worker: a Celery-native autopilot that runs plans to their verified end."""
