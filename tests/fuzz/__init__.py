"""Documents and queue payloads by the hundred thousand, damaged by chance: `make fuzz`, docs/reference/fuzz.md."""
