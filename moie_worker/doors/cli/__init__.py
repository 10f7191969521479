"""The command line `moie`. Kept free of Celery, whose import alone takes a second."""
