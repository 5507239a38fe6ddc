"""What every SMS gateway promises, held against each provider's recorded traffic in `tests/providers/<code>/`.

The tests follow from the capabilities that an adapter declares; `provider_case.py` says which recordings each demands,
what they look like and how a gateway plugs in. A gateway that lacks one fails here, by name.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest
from django.conf import settings

from core.exceptions import Malformed
from services.http import Delivery, GatewayUnavailable, OutcomeUnknown
from services.sms.base import (
    InboundText,
    MessageStatus,
    Refusal,
    SmsCallbackRejected,
    SmsCapability,
    SmsGateway,
    SmsNews,
    SmsRefused,
)
from tests.services import wire
from tests.services.sms.provider_case import (
    GATEWAYS,
    SILENT,
    SmsCase,
    demanded_recordings,
    gateways_with,
    recorded,
    recorded_reasons,
    recordings,
)


@pytest.fixture(params=gateways_with())
def provider(request: pytest.FixtureRequest) -> Iterator[SmsCase]:
    """A provider's recorded traffic. A gateway added without any fails here, by name."""
    with ExitStack() as stack:
        yield SmsCase(request.param, stack)


def offering(*wanted: SmsCapability) -> pytest.MarkDecorator:
    """Only for the gateways that declare all of `wanted`."""
    return pytest.mark.parametrize("provider", gateways_with(*wanted), indirect=True)


def having(beginning: str, *, but: Iterable[str] = ()) -> pytest.MarkDecorator:
    """For each recording of a gateway whose name begins so."""
    found = recorded(beginning, but=but)
    return pytest.mark.parametrize(("provider", "recording"), found, indirect=["provider"])


def status_of(recording: dict[str, object]) -> MessageStatus | None:
    word = recording["status"]
    return None if word is None else MessageStatus(str(word))


# --- What it says of itself ---


def test_a_gateway_without_recordings_fails_by_name(monkeypatch):
    monkeypatch.setitem(GATEWAYS, "nobody", GATEWAYS["beem"])

    with ExitStack() as stack, pytest.raises(AssertionError, match=r"add tests/providers/nobody/case\.json"):
        SmsCase("nobody", stack)


def test_every_gateway_of_the_settings_is_held_to_this():
    assert set(settings.SMS_GATEWAYS) <= set(gateways_with())


def test_a_gateway_introduces_itself(provider):
    gateway = provider.gateway()

    assert gateway.code == provider.code
    assert gateway.name
    assert gateway.capabilities == type(gateway).capabilities, "record an account that offers all there is"
    assert gateway.capabilities <= set(SmsCapability)


def test_every_recording_that_the_capabilities_demand_is_there(provider):
    missing = sorted(demanded_recordings(provider.kind.capabilities) - set(recordings(provider.code)))

    assert missing == [], f"add to tests/providers/{provider.code}/"
    assert {Refusal.NUMBER, Refusal.ACCOUNT} <= recorded_reasons(provider.code)


def test_every_recording_says_where_it_comes_from(provider):
    names = recordings(provider.code)

    assert [name for name in names if not wire.load(provider.code, name).get("source")] == []


def test_a_provider_that_signs_is_verified_and_says_what_its_proof_covers(provider):
    assert (provider.kind.verify is not SmsGateway.verify) is bool(provider.signed)
    assert provider.signed <= {"body", "headers", "url"}


# --- Sending ---


def test_an_accepted_text_has_the_providers_reference(provider):
    result = provider.gateway("send_accepted").send(provider.request)

    assert result.provider_reference == provider.provider_reference
    assert result.parts is None or result.parts > 0


@having("send_refused")
def test_a_refusal_says_what_would_help(provider, recording):
    expected = provider.recording(recording)

    with pytest.raises(SmsRefused) as caught:
        provider.gateway(recording).send(provider.request)

    assert (caught.value.reason, caught.value.code) == (Refusal(expected["reason"]), expected["code"])


@pytest.mark.parametrize("recording", ["send_uncertain", "send_unreadable", "send_hang_up"])
def test_silence_after_a_text_is_an_unknown_outcome(provider, recording):
    with pytest.raises(OutcomeUnknown):
        provider.gateway(recording).send(provider.request)


def test_a_provider_that_cannot_be_reached_took_nothing(provider):
    with pytest.raises(GatewayUnavailable):
        provider.gateway().send(provider.request)


def test_a_provider_that_is_too_busy_took_nothing_and_will_later(provider):
    with pytest.raises((GatewayUnavailable, SmsRefused)) as caught:
        provider.gateway("send_overloaded").send(provider.request)

    assert not isinstance(caught.value, SmsRefused) or caught.value.reason is Refusal.LATER


@offering(SmsCapability.IDEMPOTENT_SEND)
def test_a_text_sent_again_under_its_key_is_the_same_text(provider):
    gateway = provider.gateway("send_repeated")

    first, again = gateway.send(provider.request), gateway.send(provider.request)

    assert again.provider_reference == first.provider_reference


# --- Asking ---


@having("report_", but=SILENT)
def test_a_report_that_is_asked_for_is_about_that_text(provider, recording):
    text = provider.text_id(recording)

    report = provider.gateway(recording).query(text)

    assert report is not None
    assert report.status is status_of(provider.recording(recording))
    assert (report.phone, report.provider_reference) == (text.phone, text.provider_reference)
    assert report.raw_status


@offering(SmsCapability.QUERY)
def test_the_recorded_reports_tell_a_good_end_and_a_bad_one(provider):
    assert provider.recording("report_delivered")["status"] == MessageStatus.DELIVERED
    assert provider.recording("report_failed")["status"] in {MessageStatus.FAILED, MessageStatus.UNDELIVERABLE}


@offering(SmsCapability.QUERY)
def test_a_report_that_does_not_exist_yet_is_none(provider):
    assert provider.gateway("report_unknown").query(provider.text_id("report_unknown")) is None


@offering(SmsCapability.QUERY)
def test_silence_after_a_question_is_only_unavailable(provider):
    for gateway in (provider.gateway("report_hang_up"), provider.gateway()):
        with pytest.raises(GatewayUnavailable):
            gateway.query(provider.text_id("report_hang_up"))


@pytest.mark.parametrize(
    "provider", sorted(set(gateways_with()) - set(gateways_with(SmsCapability.QUERY))), indirect=True
)
def test_a_gateway_that_cannot_be_asked_says_so(provider):
    with pytest.raises(NotImplementedError):
        provider.gateway().query(provider.text_id())


def test_a_probe_asks_and_changes_nothing(provider):
    provider.gateway("probe").probe()

    for gateway in (provider.gateway("probe_hang_up"), provider.gateway()):
        with pytest.raises(GatewayUnavailable):
            gateway.probe()


def test_a_probe_with_wrong_credentials_is_the_operators_business(provider):
    with pytest.raises(SmsRefused) as caught:
        provider.gateway("probe_refused").probe()

    assert caught.value.reason is Refusal.ACCOUNT


# --- What comes by itself ---


@having("pushed_report")
def test_a_pushed_report_is_read_and_acknowledged(provider, recording):
    expected = provider.recording(recording)

    news = provider.gateway().read_callback(provider.callback(recording))

    [report] = news.reports
    assert (report.status, report.is_opt_out) == (status_of(expected), expected.get("is_opt_out", False))
    assert (report.phone, report.provider_reference) == (provider.request.phone, provider.provider_reference)
    assert report.key == (provider.request.key if expected.get("has_key", True) else "")
    assert report.raw_status
    assert (news.inbound, news.opted_out, news.answer) == ((), (), expected.get("receipt", {}))


@offering(SmsCapability.REPORTS)
def test_the_recorded_callbacks_tell_a_good_end_and_a_bad_one(provider):
    bad = {MessageStatus.FAILED, MessageStatus.UNDELIVERABLE}

    assert provider.recording("pushed_report_delivered")["status"] == MessageStatus.DELIVERED
    assert provider.recording("pushed_report_failed")["status"] in bad


@having("pushed_inbound")
def test_what_somebody_texts_to_us_is_read(provider, recording):
    expected = InboundText(**provider.recording(recording)["inbound"])

    news = provider.gateway().read_callback(provider.callback(recording))

    assert (news.reports, news.inbound, news.opted_out) == ((), (expected,), ())
    assert expected.provider_reference


@having("pushed_opt_out")
def test_people_who_told_the_provider_to_stop_are_named(provider, recording):
    news = provider.gateway().read_callback(provider.callback(recording))

    assert news.opted_out == tuple(provider.recording(recording)["opted_out"])
    assert (news.reports, news.inbound) == ((), ())


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 50_000, b"{}", b"a=1"])
def test_junk_is_malformed(provider, body):
    gateway, headers = provider.gateway(), {}
    for name in recordings(provider.code, "pushed_")[:1]:
        headers = dict(provider.callback(name).headers)

    for delivery in (Delivery(body=body), Delivery(body=body, headers=headers)):
        with pytest.raises(Malformed):
            assert gateway.parse(delivery) != SmsNews(), "nothing in it"


@having("pushed_")
def test_a_damaged_callback_is_read_or_malformed(provider, recording):
    gateway, genuine, dice = provider.gateway(), provider.callback(recording), random.Random(recording)

    for _ in range(40):
        body = bytearray(genuine.body)
        for _ in range(dice.randint(1, 4)):
            body[dice.randrange(len(body))] = dice.randrange(256)
        damaged = replace(genuine, body=bytes(body[: dice.choice([len(body), dice.randrange(len(body))])]))
        try:
            news = gateway.parse(damaged)
        except Malformed:
            continue
        for report in news.reports:
            assert "\0" not in report.provider_reference + report.raw_status + report.key + report.detail
        for text in news.inbound:
            assert "\0" not in text.provider_reference + text.text + text.to


@having("pushed_")
def test_a_forged_callback_is_rejected_where_the_provider_signs(provider, recording):
    gateway, genuine = provider.gateway(), provider.callback(recording)
    middle = len(genuine.body) // 2
    forgeries = {
        "body": replace(genuine, body=genuine.body[:middle] + b"0" + genuine.body[middle:]),
        "headers": replace(genuine, headers={"content-type": genuine.headers.get("content-type", "")}),
        "url": replace(genuine, url=genuine.url + "0"),
    }

    gateway.read_callback(genuine)

    for part in provider.signed:
        with pytest.raises(SmsCallbackRejected):
            gateway.read_callback(forgeries[part])


# --- What nobody may see ---


def test_no_secret_and_nothing_about_people_is_printed_or_logged(provider, caplog):
    caplog.set_level(logging.DEBUG)
    gateway, seen = provider.gateway("send_accepted"), []

    result = gateway.send(provider.request)
    seen += [repr(gateway), repr(result), repr(replace(provider.request, phone=""))]
    for name in [name for name in recordings(provider.code, "send_") if name != "send_repeated"]:
        gateway = provider.gateway(name)
        try:
            gateway.send(provider.request)
        except (SmsRefused, OutcomeUnknown, GatewayUnavailable) as error:
            seen += [repr(error), str(error)]
    for name in recordings(provider.code, "pushed_"):
        seen.append(repr(provider.callback(name)))
        for text in gateway.read_callback(provider.callback(name)).inbound:
            assert text.text not in repr(text)

    for private in provider.private():
        assert private not in caplog.text
        assert [line for line in seen if private in line] == []
