"""The derivation: whatever the order, the repetition or the lateness, one end; and never out of settled."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.payments.derivation import (
    ALLOWED,
    AttemptStatus,
    AttemptView,
    Outcome,
    PaymentStatus,
    Seen,
    derive_attempt,
    derive_payment,
)
from core.money import Money

ASKED = Money(500_000, "TZS")
AMOUNTS = [ASKED, Money(450_000, "TZS"), Money(500_000, "USD"), None]
NEWS = st.builds(
    Seen,
    st.sampled_from(
        [
            AttemptStatus.UNKNOWN,
            AttemptStatus.PENDING,
            AttemptStatus.REQUIRES_ACTION,
            AttemptStatus.EXPIRED,
            AttemptStatus.CANCELLED,
            AttemptStatus.CLAIMED,
            AttemptStatus.FAILED,
            AttemptStatus.SETTLED,
        ]
    ),
    st.sampled_from(AMOUNTS),
)
STORIES = st.lists(st.lists(NEWS, max_size=6), min_size=1, max_size=3)


def outcome_of(story: list[list[Seen]]) -> PaymentStatus:
    return outcome_of_attempts(list(enumerate(story)))


def outcome_of_attempts(story: list[tuple[int, list[Seen]]]) -> PaymentStatus:
    attempts = [derive_attempt(AttemptStatus.SUBMITTING, seen, number=number) for number, seen in story]
    return derive_payment(ASKED, attempts).status


@settings(max_examples=500)
@given(STORIES, st.randoms(use_true_random=False))
def test_order_and_repetition_change_nothing(story: list[list[Seen]], chance: random.Random):
    shuffled = [(number, seen * chance.randint(1, 3)) for number, seen in enumerate(story)]
    for _number, seen in shuffled:
        chance.shuffle(seen)
    chance.shuffle(shuffled)

    assert outcome_of_attempts(shuffled) == outcome_of(story)


@settings(max_examples=500)
@given(STORIES, st.randoms(use_true_random=False))
def test_news_one_by_one_only_takes_allowed_ways_and_never_leaves_settled(
    story: list[list[Seen]], chance: random.Random
):
    pending = [(index, news) for index, seen in enumerate(story) for news in seen]
    chance.shuffle(pending)
    so_far: list[list[Seen]] = [[] for _ in story]
    status = outcome_of(so_far)

    for index, news in pending:
        so_far[index].append(news)
        after = outcome_of(so_far)
        assert after == status or after in ALLOWED[status], f"{status} -> {after}"
        status = after


@pytest.mark.invariant("I9", "I10")
def test_a_hundred_thousand_random_orders_end_the_same(figure, record_figure):
    """All orders of one story end alike, and no step of any of them leaves settled."""
    chance = random.Random(20_261_120)
    news = [
        Seen(status, money, is_own=is_own)
        for status in AttemptStatus
        for money in AMOUNTS
        for is_own in (False, status in {AttemptStatus.EXPIRED, AttemptStatus.CANCELLED})
        if status != AttemptStatus.QUEUED
    ]
    orders, exits = figure(quick=3_000, full=100_000), 0
    for _ in range(orders // 10):
        story = [chance.choices(news, k=chance.randint(1, 5)) for _ in range(chance.randint(1, 3))]
        is_cancel_asked = chance.random() < 0.3
        expected = end_of(story, is_cancel_asked)
        for _ in range(10):
            told = [(number, each) for number, seen in enumerate(story) for each in seen * chance.randint(1, 2)]
            chance.shuffle(told)
            so_far: list[list[Seen]] = [[] for _ in story]
            has_settled = False
            for number, each in told:
                so_far[number].append(each)
                is_settled = end_of(so_far, is_cancel_asked).status is PaymentStatus.SETTLED
                exits += has_settled and not is_settled
                has_settled = is_settled
            assert end_of(so_far, is_cancel_asked) == expected
    assert exits == 0
    record_figure(f"{orders:,} random orders, 0 different ends, 0 exits from settled")


def end_of(story: list[list[Seen]], is_cancel_asked: bool) -> Outcome:
    attempts = [derive_attempt(AttemptStatus.SUBMITTING, seen, number=number) for number, seen in enumerate(story)]
    return derive_payment(ASKED, attempts, is_cancel_asked=is_cancel_asked)


@given(st.lists(st.sampled_from([money for money in AMOUNTS if money]), min_size=1), st.randoms(use_true_random=False))
def test_what_an_attempt_is_worth_does_not_depend_on_the_order(reports: list[Money], chance: random.Random):
    def worth(told: list[Money]) -> Money | None:
        return view(*(Seen(AttemptStatus.SETTLED, money) for money in told)).worth(ASKED)

    found = worth(reports)
    chance.shuffle(reports)

    assert worth(reports) == found
    assert found == ASKED if ASKED in reports else found in reports


def view(*news: Seen) -> AttemptView:
    return derive_attempt(AttemptStatus.SUBMITTING, news)


def test_money_that_came_after_a_failure_settles():
    outcome = derive_payment(ASKED, [view(Seen(AttemptStatus.FAILED), Seen(AttemptStatus.SETTLED, ASKED))])

    assert outcome.status is PaymentStatus.SETTLED
    assert not outcome.anomalies


def test_a_wrong_amount_needs_a_person():
    outcome = derive_payment(ASKED, [view(Seen(AttemptStatus.SETTLED, Money(450_000, "TZS")))])

    assert outcome.status is PaymentStatus.REVIEW
    assert outcome.anomalies == {"amount_mismatch"}


def test_a_success_without_an_amount_needs_a_person():
    assert derive_payment(ASKED, [view(Seen(AttemptStatus.SETTLED))]).status is PaymentStatus.REVIEW


def test_two_reported_amounts_keep_it_settled_and_flag_it():
    seen = [Seen(AttemptStatus.SETTLED, ASKED), Seen(AttemptStatus.SETTLED, Money(1, "TZS"))]

    outcome = derive_payment(ASKED, [view(*seen)])

    assert outcome.status is PaymentStatus.SETTLED
    assert outcome.anomalies == {"conflicting_amounts"}


def test_two_paid_attempts_are_a_duplicate_capture():
    paid = view(Seen(AttemptStatus.SETTLED, ASKED))

    outcome = derive_payment(ASKED, [paid, paid])

    assert outcome.status is PaymentStatus.SETTLED
    assert outcome.anomalies == {"duplicate_capture"}


def test_no_attempt_is_only_a_wish():
    assert derive_payment(ASKED, []).status is PaymentStatus.CREATED
