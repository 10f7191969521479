"""Every document of the table is refused with its message, and nothing but a DocumentError comes out."""

import pytest

from moie_worker.errors import DocumentError
from tests.unit.plan.bad_plans import BAD_PLANS, BadPlan
from tests.unit.plan.samples import read


@pytest.mark.parametrize("bad", BAD_PLANS, ids=lambda bad: bad.name)
def test_a_bad_plan_is_refused_with_its_place_and_its_reason(bad: BadPlan) -> None:
    with pytest.raises(DocumentError) as caught:
        read(bad.read(), name="bad.yaml")
    assert bad.expect in str(caught.value)
    assert caught.value.exit_code == 2


def test_the_table_names_each_document_once() -> None:
    names = [bad.name for bad in BAD_PLANS]
    assert len(set(names)) == len(names) >= 70


def test_several_problems_are_said_at_once_each_with_its_line() -> None:
    source = "version: 3\nphases:\n- id: one\n  name: n\n  jobs:\n  - {id: a, task: t}\n  - {id: b, tusk: t}\n"
    with pytest.raises(DocumentError) as caught:
        read(source)
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "phases[0].id",
        "phases[0].jobs[0].verification_cmd",
        "phases[0].jobs[1].task",
        "phases[0].jobs[1].tusk",
    ]
    assert [problem.split("(line ")[1] for problem in caught.value.problems] == ["3)", "6)", "7)", "7)"]


def test_a_plan_that_is_all_wrong_is_answered_shortly() -> None:
    jobs = [{"id": number, "task": "t", "verification_cmd": "x"} for number in range(1000)]
    with pytest.raises(DocumentError) as caught:
        read({"version": 3, "phases": [{"id": 1, "name": "n", "jobs": jobs}]})
    assert len(caught.value.problems) == 51
    assert caught.value.problems[-1] == "… and 950 more"


def test_a_broken_check_of_an_action_is_a_problem_and_no_crash() -> None:
    from moie_worker.plan.reading import read_plan
    from tests.unit.plan.samples import NOW

    source = (
        b"version: 3\nphases: [{id: 1, name: n, jobs: [{id: a, task: t, verification_cmd: x, action: {use: odd}}]}]\n"
    )
    with pytest.raises(DocumentError, match="could not check its parameters: ZeroDivisionError"):
        read_plan(source, name="p", now=NOW, actions={"odd": lambda params: [("", str(1 // len(params)))]})
