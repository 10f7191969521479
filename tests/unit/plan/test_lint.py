"""Checks that cannot fail or prove nothing are found, and those that can are left alone."""

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moie_worker.plan.lint.prove import flake_score, kinds_table
from moie_worker.plan.lint.report import lint, lint_job, rules_table
from moie_worker.plan.lint.rules import ALL_RULES, rule_id
from moie_worker.plan.model import Job
from moie_worker.plan.reading import read_plan
from moie_worker.plan.states import Outcome
from moie_worker.plan.times import moment

ROOT = Path(__file__).parents[3]
DATA = ROOT / "tests" / "data"

FOUND: dict[str, list[str | list[str]]] = {
    "always-true": ["true", ":", "exit 0", "/bin/true", "timeout 5 true", "test 1 = 1", "[ -n yes ]", "true && :",
                    ["true"], ["sh", "-c", "exit 0"], "# nothing is looked at\ntrue"],
    "only-prints": ["echo ok", "printf 'all is well\\n'", "date", "echo a && echo b", "echo '|| test -s x'",
                    "cd=1 echo ok"],
    "swallowed-failure": ["pytest || true", "pytest || :", "make && pytest || echo 'not yet'",
                          "bash -c 'pytest || true'",
                          "pytest ||\n  true", ["bash", "-c", "pytest || exit 0"]],
    "status-discarded": ["pytest; true", "pytest\necho done\n", "pytest; exit 0", "(pytest; true)"],
    "pipeline-hides-status": ["pytest | tee log", "pytest 2>&1 | tail -n 5", "find out -name '*.csv' | wc -l",
                              "test -s out && pytest |\n tee log", "cat a | sort", "{ pytest; } | cat",
                              "pytest | sed s/a/b/", "bash -c 'pytest | head'"],
    "background": ["server &", "test -s x; server &"],
    "set-plus-e": ["set +e; make; pytest", "set -e\nset +e\nmake\npytest"],
    "cannot-fail": ["exit", "if test -f x; then echo yes; else echo no; fi", "ls x | while read f; do echo $f; done"],
    "always-there": ["test -d /", "test -e /tmp", "[ -d . ]", "ls", "ls /", "cd /tmp && ls", "test -d $HOME",
                     ["test", "-f", "/etc/passwd"]],
    "asks-for-help": ["app --help", "app create --help | grep create", "app --version", "which app && app --help"],
    "grep-for-a-name": ["grep -q RoutingCache core/cache.ts", "grep -rn Cache src", "cat cache.py | grep Cache",
                        "test -f cache.py && grep -q 'class Cache' cache.py", "grep '\"level\":' log.jsonl",
                        "grep -q -m 1 -e Cache cache.go"],
}  # fmt: skip
LEFT_ALONE: list[str | list[str]] = [
    "pytest", "false", "test -s out.csv", "exit 1", "exit $code", "pytest; exit", "pytest && echo ok",
    "pytest || exit 1", "pytest || exit 1; echo ok", "pytest && echo ok || exit 1", "set -e\npytest\necho ok",
    "set -e; rm old || true; pytest",
    "set -e; rm old || true; ls | head; pytest; echo ok",
    "set -euo pipefail; pytest | tee log", "bash -eo pipefail -c 'pytest | tee log; echo ok'",
    "bash -o pipefail -c 'pytest | tee log'", "echo a | tee log && pytest", "pytest | grep -q passed",
    "redis-cli ping | grep -q PONG", "app --version | grep -q ' 7'", "grep -q vmx /proc/cpuinfo",
    "grep -q '^port 6379' redis.conf", "! grep -q ERROR app.log", "grep -q Cache cache.py && pytest",
    "set +e; pytest; code=$?; echo $code; exit $code", "test $(wc -l < out) -gt 3", "test \"$(app | tail -1)\" = ok",
    "if pytest; then echo ok; else exit 1; fi", "for f in a b; do test -s $f || exit 1; done",
    "server & sleep 1; curl -f localhost", "ls out/*.csv", "sort -c out", "awk 'END {exit NR < 3}' out",
    "cat out | awk 'NR > 9 {exit 1}'", "python3 -c 'import sys; sys.exit(1) or true'", "echo done > out",
    "cat <<'END' | python3\nthe text says || true\nEND", "case $x in y) true;; esac", "check() { true; }; check",
    "echo 'never closed", "x=$(pytest)", "command -v app", "a ||", ") (", "[ -d out ]", "pytest # || true",
    "echo \"$(pytest || true)\" | grep -q passed", ["pytest", "||", "true"], ["bash", "check.sh"], "sh -c \"$check\"",
]  # fmt: skip


def job(command: str | list[str] | None, **fields: Any) -> Job:
    return Job.model_validate({"id": "a", "task": "t", "verification_cmd": command} | fields)


def rules(made: Job) -> list[str]:
    return [finding.rule for finding in lint_job(made)]


@pytest.mark.parametrize(("rule", "command"), [(rule, one) for rule, some in FOUND.items() for one in some])
def test_a_check_that_cannot_be_trusted_is_found(rule: str, command: str | list[str]) -> None:
    assert rules(job(command)) == [rule]


@pytest.mark.parametrize("command", LEFT_ALONE, ids=str)
def test_a_check_that_can_fail_is_left_alone(command: str | list[str]) -> None:
    assert rules(job(command)) == []


def test_two_faults_are_said_both() -> None:
    assert rules(job("set +e; make; pytest | tee log")) == ["pipeline-hides-status", "set-plus-e"]


def test_a_message_names_the_part_that_is_at_fault() -> None:
    assert "`|| echo x`" in next(lint_job(job("pytest || echo 'x'"))).message
    assert "`| tee log`" in next(lint_job(job("pytest | tee log"))).message


@pytest.mark.parametrize(
    ("use", "command", "expected"),
    [("shell", None, ["no-check"]), ("disk_report", None, ["no-check"]), ("arxiv_scan", None, []), ("http", None, []),
     ("shell", "test -s out", [])],
)  # fmt: skip
def test_the_word_of_an_action_alone_is_no_check(use: str, command: str | None, expected: list[str]) -> None:
    cyclic = {"status": "cyclic", "schedule": {"every": "10m"}, "action": {"use": use}}
    assert rules(job(command, **cyclic)) == expected


@pytest.mark.parametrize(
    ("command", "expected"),
    [("grep -q DONE build.log", []), ("grep -q DONE other.log", ["grep-for-a-name"]),
     ("grep -q Cache cache.py", ["grep-for-a-name"])],
)  # fmt: skip
def test_a_word_in_a_file_that_must_be_new_is_something(command: str, expected: list[str]) -> None:
    assert rules(job(command, evidence={"files": ["build.log", "cache.py"]})) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("phase5_proposal", [("5.1", "grep-for-a-name"), ("5.3", "asks-for-help"), ("5.4", "grep-for-a-name")]),
        ("sovereign_state_v1", [("1.1", "always-there"), ("1.2", "grep-for-a-name"), ("2.1", "grep-for-a-name")]),
        ("sovereign_state_v2", []),
    ],
)
def test_the_sample_documents_have_the_faults_they_are_known_for(name: str, expected: list[tuple[str, str]]) -> None:
    plan = read_plan((DATA / f"{name}.json").read_bytes(), name=name, now=moment(0), actions={}).plan
    assert [(finding.job, finding.rule) for finding in lint(plan)] == expected


PIECES = [
    "true", "a", "echo", "exit 0", "grep x y.py", "set -e", "set +e", "set", "-o", "pipefail", "test", "[", "]", "!",
    "{", "}", "(", ")", "$(", "`", "'", '"', "\\", "\n", ";", "&", "&&", "||", "|", "if", "then", "else", "elif", "fi",
    "for", "while", "do", "done", "case", "esac", "<<", "<<-", "<<<", "E", ">", ">&", "2", "#", "${", "$", "sh -c",
    "timeout", "command -v", "env A=1", "=", "*", "ä", "\u2028",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES)).map(" ".join) | st.lists(st.sampled_from(PIECES)).map("".join) | st.text())
def test_no_text_makes_it_raise(text: str) -> None:
    made = Job.model_construct(id="a", task="t", verification_cmd=text)
    for finding in lint_job(made):
        assert finding.message


@given(st.lists(st.sampled_from(PIECES), min_size=1))
def test_no_list_of_arguments_makes_it_raise(words: list[str]) -> None:
    for finding in lint_job(Job.model_construct(id="a", task="t", verification_cmd=tuple(words))):
        assert finding.message


LONG = 20_000  # characters; a command has at most five times as many


@pytest.mark.parametrize(
    "text",
    ["(" * LONG, "$(" * (LONG // 2), "'" * LONG, '"' * LONG, "a && " * (LONG // 5) + "b",
     "set -e\n" + "a\n" * (LONG // 3),
     "a | " * (LONG // 4) + "b", "! " * (LONG // 2) + "a", "a; " * (LONG // 3), "if a; then " * (LONG // 11),
     "a" * LONG, "<<a\n" * (LONG // 4), "timeout 1 " * (LONG // 10) + "a", '"$(' * (LONG // 3), "${" * (LONG // 2)],
    ids=lambda text: text[:12],
)  # fmt: skip
def test_the_longest_texts_take_no_time_to_speak_of(text: str) -> None:
    began = time.process_time()
    rules(Job.model_construct(id="a", task="t", verification_cmd=text))
    assert time.process_time() - began < 5


def test_the_page_has_every_rule_and_none_besides() -> None:
    page = (ROOT / "docs" / "reference" / "lint.md").read_text()
    assert rules_table() in page, (
        "write it again: python -c 'from moie_worker.plan.lint.report import rules_table; print(rules_table())'"
    )


def test_what_running_checks_may_find_is_on_the_page() -> None:
    assert kinds_table() in (ROOT / "docs" / "reference" / "lint.md").read_text()


@pytest.mark.parametrize(
    ("outcomes", "score"), [("", 0.0), ("p", 0.0), ("pppp", 0.0), ("pppf", 0.25), ("pfpf", 0.5), ("pft", 2 / 3)]
)
def test_the_flake_score_is_the_share_of_runs_that_differ(outcomes: str, score: float) -> None:
    kinds = {"p": Outcome.PASSED, "f": Outcome.FAILED, "t": Outcome.TIMED_OUT}
    assert flake_score([kinds[one] for one in outcomes]) == pytest.approx(score)


def test_every_rule_has_a_line_and_a_test() -> None:
    assert {rule_id(rule) for rule in ALL_RULES} == {*FOUND, "no-check"}
    assert all(rule.__doc__ for rule in ALL_RULES)
