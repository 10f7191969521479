"""`make fuzz`: documents and payloads by the hundred thousand, over the machine's cores, and what became of them.

    python -m tests.fuzz.run [--seed 1] [--documents 1000000] [--payloads 100000] [--worker 5000]
        [--budget SECONDS] [--page FILE]

Ends with 1 when anything was found. A finding names its seed and number, which make it again.
"""

import argparse
import os
import platform
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from importlib.metadata import version
from pathlib import Path
from time import monotonic, process_time

from tests.fuzz import documents, payloads, worker
from tests.fuzz.oracle import accepted

CHUNK = 1000
TEMPLATE = Path(__file__).with_name("page.md")
AGAIN = 8  # every so many of those accepted are written out and read back
SLOW_S = 2.0  # of processor time for one small document: a reader that hangs
MUST_BE = {documents.Sort.GOOD: True, documents.Sort.PLANTED: False}
Key = tuple[StrEnum, bool]


@dataclass
class Tally:
    """What became of many."""

    counts: Counter[Key] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    bytes: int = 0
    slowest_s: float = 0.0

    def __iadd__(self, other: "Tally") -> "Tally":
        self.counts += other.counts
        self.findings += other.findings
        self.bytes += other.bytes
        self.slowest_s = max(self.slowest_s, other.slowest_s)
        return self


def read_document(seed: int, number: int, tally: Tally) -> Key:
    """One document. Raises whatever it finds."""
    made = documents.document(seed, number)
    tally.bytes += len(made.data)
    began = process_time()
    verdict = accepted(made.data, made.name, again=number % AGAIN == 0)
    took = process_time() - began
    tally.slowest_s = max(tally.slowest_s, took)
    assert took < SLOW_S, f"it took {took:.1f} s"
    assert verdict == MUST_BE.get(made.sort, verdict), "accepted" if verdict else "refused"
    return made.sort, verdict


def judge_payload(seed: int, number: int, tally: Tally) -> Key:
    """One payload. Raises whatever it finds."""
    made = payloads.payload(seed, number)
    tally.bytes += len(made.data)
    return made.sort, payloads.fit(made)


def tally(one: Callable[[int, int, Tally], Key], seed: int, numbers: range) -> Tally:
    """Try many; what is raised is a finding."""
    done = Tally()
    for number in numbers:
        try:
            done.counts[one(seed, number, done)] += 1
        except Exception as error:
            done.findings.append(f"{one.__name__}({seed}, {number}): {type(error).__name__}: {str(error)[:300]}")
    return done


def all_of(one: Callable[[int, int, Tally], Key], count: int, options: argparse.Namespace) -> Tally:
    """The same over several processes, until all are done or the time budget is over."""
    chunks = [range(first, min(first + CHUNK, count)) for first in range(0, count, CHUNK)]
    done, began = Tally(), monotonic()
    with ProcessPoolExecutor(options.processes, initializer=partial(os.nice, 10)) as pool:
        for number, part in enumerate(pool.map(partial(tally, one, options.seed), chunks), 1):
            done += part
            for finding in part.findings:
                say(finding)
            over = monotonic() - began > options.budget
            if number % 20 == 0 or number == len(chunks) or over:
                rate = done.counts.total() / (monotonic() - began)
                say(f"{one.__name__}: {min(number * CHUNK, count):,} of {count:,}, {rate:,.0f} a second")
            if over:
                pool.shutdown(cancel_futures=True)
                break
    return done


def rows(counts: Mapping[Key, int], sorts: type[StrEnum]) -> Iterator[str]:
    """The lines of a table: sort, how many, of these accepted and refused."""
    for sort in sorts:
        yes, no = counts.get((sort, True), 0), counts.get((sort, False), 0)
        yield f"| {sort} | {yes + no:,} | {yes:,} | {no:,} |"


def page(done: Tally, judged: Tally, lived: worker.Lived, options: argparse.Namespace) -> str:
    """The page of figures."""
    return TEMPLATE.read_text().format(
        documents="\n".join(rows(done.counts, documents.Sort)),
        payloads="\n".join(rows(judged.counts, payloads.Sort)),
        read=done.counts.total(),
        judged=judged.counts.total(),
        mib=done.bytes / 2**20,
        slowest_ms=done.slowest_s * 1000,
        lived=lived,
        asked=options,
        versions=f"Celery {version('celery')}, kombu {version('kombu')}, Python {platform.python_version()}",
    )


def say(text: str) -> None:
    """One line, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description="Fuzz plan documents and queue payloads.")
    for name, default in (("seed", 1), ("documents", 1_000_000), ("payloads", 100_000), ("worker", 5_000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--budget", type=float, default=3600, help="seconds after which no more documents are read")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    judged = all_of(judge_payload, options.payloads, options)
    lived = worker.live(options.seed, options.worker)
    done = all_of(read_document, options.documents, options)
    found = judged.findings + done.findings
    say(f"{len(found)} findings")
    if found:
        return 1
    text = page(done, judged, lived, options)
    say(text)
    if options.page:
        options.page.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
