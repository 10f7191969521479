"""A process with a wrong clock: a small library, loaded before all others, that answers for the C library."""

import subprocess
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static long shift(void) {
  const char *said = getenv("CLOCK_SHIFT_S");
  return said ? atol(said) : 0;
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


def wrong_clock(directory: Path, ahead: timedelta) -> Mapping[str, str]:
    """The environment of a process whose clock is so far ahead. Needs a C compiler."""
    library = directory / "clock.so"
    if not library.exists():
        command = ["cc", "-shared", "-fPIC", "-O1", "-x", "c", "-", "-o", str(library), "-ldl"]
        subprocess.run(command, input=SOURCE.encode(), check=True)
    return {"LD_PRELOAD": str(library), "CLOCK_SHIFT_S": f"{ahead.total_seconds():.0f}"}
