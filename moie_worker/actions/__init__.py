"""What a job can do. Actions are plugins, found by the entry point group `moie_worker.actions`."""
