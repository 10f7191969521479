"""What fails again and again is said, and not a thousand times."""

from datetime import timedelta

from moie_worker.heart.quietly import SAY_AGAIN_S, Complaints
from tests.web_kit import HandClock


def test_the_same_is_said_again_after_a_minute_and_something_else_at_once() -> None:
    clock = HandClock()
    complaints = Complaints(clock.monotonic)
    assert [complaints.due("no"), complaints.due("no")] == [True, False]
    clock.advance(timedelta(seconds=SAY_AGAIN_S - 0.1))
    assert not complaints.due("no")
    clock.advance(timedelta(seconds=0.1))
    assert complaints.due("no")
    assert [complaints.due("never"), complaints.due("no")] == [True, True]


def test_what_comes_back_after_it_was_over_is_new() -> None:
    complaints = Complaints(lambda: 0.0)
    assert complaints.due("no")
    complaints.over()
    assert complaints.due("no")


def test_what_is_said_of_one_thing_makes_nothing_new_of_another() -> None:
    complaints = Complaints(lambda: 0.0)
    assert [complaints.due("no", "a"), complaints.due("no", "b"), complaints.due("no", "a")] == [True, True, False]
    complaints.over("b")
    assert [complaints.due("no", "a"), complaints.due("no", "b")] == [False, True]
