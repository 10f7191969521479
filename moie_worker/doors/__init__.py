"""The doors: Celery tasks, the scheduler and the command line."""
