"""`python -m moie_worker` is `moie`."""

from moie_worker.doors.cli.main import main

main()
