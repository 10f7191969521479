"""A process with a wrong clock: a small library, loaded before all others, that answers for the C library.

How wrong it is stands in a file and may change while the process runs: a clock that jumps. Needs a C compiler.
"""

import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long shift(void) {
  static const char *said = NULL;
  if (!said) {
    int file = open(getenv("CLOCK_SHIFT_FILE"), O_RDONLY);
    void *page = file < 0 ? MAP_FAILED : mmap(NULL, 32, PROT_READ, MAP_SHARED, file, 0);
    if (file >= 0) close(file);
    if (page == MAP_FAILED) abort();
    said = page;
  }
  return atol(said);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
  int answer = real(clock, now);
  if (answer == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += shift();
  return answer;
}

int gettimeofday(struct timeval *now, void *zone) {
  int (*real)(struct timeval *, void *) = dlsym(RTLD_NEXT, "gettimeofday");
  int answer = real(now, zone);
  if (answer == 0) now->tv_sec += shift();
  return answer;
}

time_t time(time_t *now) {
  struct timespec here;
  clock_gettime(CLOCK_REALTIME, &here);
  if (now) *now = here.tv_sec;
  return here.tv_sec;
}
"""


class WrongClock:
    """Of any number of processes, which it makes wrong all at once."""

    def __init__(self, directory: Path, name: str, ahead: timedelta = timedelta()) -> None:
        self._library = directory / "clock.so"
        self._file = directory / f"{name}.shift"
        if not self._library.exists():
            command = ["cc", "-shared", "-fPIC", "-O1", "-x", "c", "-", "-o", str(self._library), "-ldl"]
            subprocess.run(command, input=SOURCE.encode(), check=True)
        self.jump(ahead)

    def jump(self, ahead: timedelta) -> None:
        """So far ahead of the true time from now on."""
        text = f"{ahead.total_seconds():<30.0f}\n".encode()
        with self._file.open("r+b" if self._file.exists() else "xb", buffering=0) as file:
            file.write(text)  # in place: the page is shared with the processes

    def say(self, moment: datetime) -> None:
        """It is this time now."""
        self.jump(moment - datetime.now(UTC))

    @property
    def env(self) -> Mapping[str, str]:
        """The environment of a process that has this clock."""
        return {"LD_PRELOAD": str(self._library), "CLOCK_SHIFT_FILE": str(self._file)}

    @property
    def before(self) -> Sequence[str]:
        """What to put before a command that is to have this clock."""
        return ["env", *(f"{name}={value}" for name, value in self.env.items())]
