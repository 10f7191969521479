"""The command line: `moie`, `celery moie` and `python -m moie_worker`."""
