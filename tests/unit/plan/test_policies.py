"""Rules about what may run: which of them decides, and what is said of a file or of a plan."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moie_worker.errors import DocumentError
from moie_worker.plan.model import Job, Plan
from moie_worker.plan.policies import (
    Decision,
    Facts,
    Policies,
    Policy,
    deciding,
    facts_of,
    fits,
    foresee,
    read_policies,
)

FACTS = Facts("prod", "5.1", "gpu", "shell", "deploy", frozenset({"sh", "/usr/bin/curl"}))
THROTTLE = {"at_most": 2, "per": "1h"}


def policy(decide: str = "deny", **when: Any) -> Policy:
    more = THROTTLE if decide == "throttle" else {}
    return Policy.model_validate({"name": "p", "decide": decide, "when": when, **more})


@pytest.mark.parametrize(
    ("when", "fitting"),
    [
        ({}, True),
        ({"plan": "prod"}, True),
        ({"plan": "pro*", "job": "5.*"}, True),
        ({"plan": "pro*", "job": "6.*"}, False),
        ({"job": ["1.?", "5.?"]}, True),
        ({"queue": "GPU"}, False),
        ({"action": "shell"}, True),
        ({"action": "check"}, False),
        ({"user": "*"}, True),
        ({"user": "root"}, False),
        ({"program": "curl"}, True),
        ({"program": "/usr/bin/*"}, True),
        ({"program": "/bin/sh"}, False),
        ({"program": "rm"}, False),
    ],
)
def test_all_conditions_must_fit_and_of_each_one_pattern(when: dict[str, Any], fitting: bool) -> None:
    assert fits(policy(**when), FACTS) is fitting


def test_what_allows_a_program_allows_no_other_that_the_job_runs_too() -> None:
    assert fits(policy("deny", program="curl"), FACTS)
    assert not fits(policy("allow", program="curl"), FACTS)
    assert fits(policy("allow", program=["curl", "sh"]), FACTS)


def test_no_pattern_fits_a_user_or_a_program_that_is_not_there() -> None:
    facts = Facts("p", "a", "q", "http", None, frozenset())
    assert not fits(policy(user="*"), facts)
    assert not fits(policy(program="*"), facts)
    assert not fits(policy("allow", program="*"), facts)


@pytest.mark.parametrize(
    ("fields", "action", "programs"),
    [
        ({"verification_cmd": "rm x"}, "check", {"sh"}),
        ({"verification_cmd": ["/bin/test", "-e", "x"]}, "check", {"/bin/test"}),
        ({"verification_cmd": "x", "action": {"use": "shell", "with": {"cmd": ["rm", "x"]}}}, "shell", {"sh", "rm"}),
        ({"verification_cmd": ["a"], "action": {"use": "http", "with": {"cmd": ["rm"]}}}, "http", {"a"}),
        ({"verification_cmd": ["a"], "action": {"use": "shell", "with": {"cmd": 7}}}, "shell", {"a"}),
    ],
)
def test_what_rules_see_of_a_job(fields: dict[str, Any], action: str, programs: set[str]) -> None:
    job = Job.model_validate({"id": "a", "task": "t", "queue": "q", "run_as": "ops"} | fields)
    assert facts_of("plan", job) == Facts("plan", "a", "q", action, "ops", frozenset(programs))


NAMES = st.sampled_from(["a", "b", "a*", "*", "?"])
CONDITIONS = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("plan", "job", "queue", "action", "user", "program"), NAMES)
)
RULES = st.lists(st.tuples(st.sampled_from([str(decision) for decision in Decision]), CONDITIONS), max_size=6)
WORDS = st.sampled_from(["a", "b", "ab"])
SEEN = st.builds(
    Facts, plan=WORDS, job=WORDS, queue=WORDS, action=WORDS, user=st.none() | WORDS, programs=st.frozensets(WORDS)
)


def rules_of(drawn: list[tuple[str, dict[str, str]]]) -> Policies:
    made = [policy(decide, **when).model_copy(update={"name": f"p{n}"}) for n, (decide, when) in enumerate(drawn)]
    return Policies(policies=tuple(made))


@given(drawn=RULES, facts=SEEN)
def test_the_first_that_fits_decides_and_what_follows_it_means_nothing(
    drawn: list[tuple[str, dict[str, str]]], facts: Facts
) -> None:
    rules = rules_of(drawn)
    found = deciding(rules, facts)
    fitting = [one for one in rules.policies if fits(one, facts)]
    assert found == (fitting[0] if fitting else None)
    if found is not None:
        upto = rules.policies.index(found) + 1
        assert deciding(Policies(policies=rules.policies[:upto]), facts) == found
        unfitting = tuple(one for one in rules.policies if not fits(one, facts))
        assert deciding(Policies(policies=(*unfitting, found)), facts) == found


@given(drawn=RULES, facts=SEEN)
def test_a_condition_more_never_makes_a_rule_fit(drawn: list[tuple[str, dict[str, str]]], facts: Facts) -> None:
    for decide, when in drawn:
        for name in when:
            fewer = {other: pattern for other, pattern in when.items() if other != name}
            assert fits(policy(decide, **fewer), facts) or not fits(policy(decide, **when), facts)


@given(drawn=RULES, facts=SEEN)
def test_a_last_rule_without_conditions_decides_what_no_other_does(
    drawn: list[tuple[str, dict[str, str]]], facts: Facts
) -> None:
    rules = rules_of(drawn)
    last = policy("deny").model_copy(update={"name": "last"})
    assert deciding(Policies(policies=(*rules.policies, last)), facts) == (deciding(rules, facts) or last)


# -- the file -----------------------------------------------------------------------------------------

GOOD = b"""
policies:
  - {name: no-rm, decide: deny, when: {program: [rm, dd]}, why: "nothing is deleted here"}
  - {name: slow, decide: throttle, when: {queue: prod}, at_most: 3, per: 10m}
  - {name: rest, decide: allow}
"""


def test_a_file_is_read_as_it_says() -> None:
    rules = read_policies(GOOD, "policies.yaml").policies
    assert [str(rule.decide) for rule in rules] == ["deny", "throttle", "allow"]
    assert rules[0].when.program == ("rm", "dd")
    assert rules[0].told == "policy no-rm: nothing is deleted here"
    assert (rules[1].per, rules[1].rate) == (timedelta(minutes=10), "at most 3 in 10m")


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("{name: a, decide: maybe}", "policies[0].decide: must be 'allow', 'deny', 'approve' or 'throttle'"),
        ("{name: a}", "policies[0].decide: is missing"),
        ("{name: a b, decide: deny}", "policies[0].name: "),
        ("{name: a, decide: deny, when: {host: x}}", "policies[0].when.host: is not a known field"),
        ("{name: a, decide: deny, when: {job: []}}", "policies[0].when.job: "),
        ("{name: a, decide: throttle, at_most: 3}", "policies[0].per: is missing; `throttle` needs"),
        ("{name: a, decide: throttle, at_most: 0, per: 1h}", "policies[0].at_most: "),
        ("{name: a, decide: throttle, at_most: 1, per: soon}", "policies[0].per: "),
        ("{name: a, decide: deny, at_most: 3}", "policies[0].at_most: belongs to `throttle`"),
        ("{name: a, decide: deny}, {name: a, decide: allow}", "policies: a is there twice"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(rule: str, said: str) -> None:
    with pytest.raises(DocumentError) as refused:
        read_policies(f"policies: [{rule}]".encode(), "policies.yaml")
    assert len(refused.value.problems) == 1
    assert refused.value.problems[0].startswith(said)


# -- foresight ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("decide", "approval", "said"),
    [
        ("allow", None, []),
        ("deny", None, ["will be refused (policy p)"]),
        ("approve", None, ["will be refused until phase 1 says `approval: required` (policy p)"]),
        ("approve", "required", []),
        ("throttle", None, ["will wait for its turn, at most 2 in 1h (policy p)"]),
    ],
)
def test_what_will_become_of_a_plan_is_foreseen(decide: str, approval: str | None, said: list[str]) -> None:
    jobs = [{"id": "a", "task": "t", "verification_cmd": "true"}, {"id": "b", "task": "t", "verification_cmd": "true"}]
    phase = {"id": 1, "name": "P", "jobs": jobs} | ({"approval": approval} if approval else {})
    plan = Plan.model_validate({"version": 3, "phases": [phase]})
    rules = Policies(policies=(policy(decide, job="a"),))
    assert [(one.job, one.message) for one in foresee(rules, "default", plan)] == [("a", text) for text in said]
