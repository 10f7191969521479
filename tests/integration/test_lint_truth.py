"""What is said about exit codes is what a shell does: random scripts, run with every answer of their commands."""

import itertools
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moie_worker.plan.lint.script import parse
from moie_worker.plan.lint.status import of_script

pytestmark = pytest.mark.integration

# `a` and `b` answer 0 or 1 as they are told: the only commands here whose exit code is not known from the text.
TOLD = 'a() { return "$A"; }; b() { return "$B"; }; eval "$SCRIPT"'
LEAVES = ["a", "b", "true", ":", "echo x", "exit 0", "exit 1", "exit", "false", "test 1 = 1", "test 1 = 2", "cat",
          "a >/dev/null", "set -e", "set +e"]  # fmt: skip


def joined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    two = st.tuples(inner, st.sampled_from([" && ", " || ", " | ", "; ", "\n", " & "]), inner).map("".join)
    return st.one_of(
        two,
        inner.map("( {} )".format),
        inner.map("{{ {}\n}}".format),
        inner.map("{{ ! {{ {}\n}}\n}}".format),
        st.tuples(inner, inner, inner).map(lambda three: "if {}\nthen {}\nelse {}\nfi".format(*three)),
        st.tuples(inner, inner).map(lambda two: "if {}\nthen {}\nfi".format(*two)),
        inner.map("for i in 1 2; do {}\ndone".format),
    )


SCRIPTS = st.recursive(st.sampled_from(LEAVES), joined, max_leaves=6)


def codes(script: str) -> list[int]:
    """The exit codes under every pair of answers."""
    return [
        subprocess.run(
            ["/bin/sh", "-c", TOLD],
            env={"A": first, "B": second, "SCRIPT": script, "PATH": "/usr/bin:/bin"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=20,
        ).returncode
        for first, second in itertools.product("01", repeat=2)
    ]


@settings(max_examples=400)
@given(SCRIPTS)
def test_what_is_said_to_succeed_always_does(script: str) -> None:
    if not of_script(parse(script)).can_fail:
        assert codes(script) == [0, 0, 0, 0]
