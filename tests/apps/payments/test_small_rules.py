"""Plain rules: references and the poll schedule."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from apps.payments.references import ALPHABET, is_well_formed, new_reference
from apps.payments.schedule import GIVE_UP_AFTER, jittered, next_wait

FIRST = [5.0, 10.0, 20.0, 40.0, 60.0]


def test_references_fit_every_gateway_and_do_not_repeat():
    references = {new_reference() for _ in range(5_000)}

    assert len(references) == 5_000
    assert all(len(each) == 20 and each.isalnum() and each == each.upper() for each in references)
    assert all(is_well_formed(each) for each in references)


@given(st.integers(0, 19), st.sampled_from(ALPHABET))
def test_one_wrong_character_is_noticed_or_is_the_same_character(place: int, char: str):
    reference = "0123456789ABCDEFGHI"
    from apps.payments.references import check_character

    reference += check_character(reference)
    typo = reference[:place] + char + reference[place + 1 :]
    weight = place + 1 if place < 19 else 1
    is_same = (ALPHABET.index(char) - ALPHABET.index(reference[place])) * weight % 36 == 0

    assert is_well_formed(typo) is is_same


def test_the_first_questions_come_quickly():
    waits = [next_wait(polls=polls, age=timedelta(), first_waits=FIRST) for polls in range(5)]

    assert [wait.total_seconds() for wait in waits if wait] == FIRST


def test_the_wait_grows_with_age_and_ends_after_a_week():
    def wait(**age: int) -> timedelta | None:
        return next_wait(polls=50, age=timedelta(**age), first_waits=FIRST)

    assert wait(minutes=5) == timedelta(minutes=1)
    assert wait(minutes=30) == timedelta(minutes=5)
    assert wait(hours=5) == timedelta(minutes=30)
    assert wait(days=3) == timedelta(hours=6)
    assert wait(days=8) is None


def test_a_week_takes_a_bounded_number_of_questions():
    age, polls = timedelta(), 0
    while (wait := next_wait(polls=polls, age=age, first_waits=FIRST)) is not None:
        age, polls = age + wait, polls + 1

    assert age >= GIVE_UP_AFTER
    assert polls < 110


@given(st.floats(1, 1e6))
def test_jitter_stays_within_a_fifth(seconds: float):
    wait = timedelta(seconds=seconds)

    assert wait * 0.79 <= jittered(wait) <= wait * 1.21
