"""What every SMS gateway promises, held against each provider's recorded traffic in tests/providers/<code>/."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from django.conf import settings
from django.utils.module_loading import import_string

from core.exceptions import Malformed
from services.http import Delivery, GatewayUnavailable, OutcomeUnknown
from services.sms.base import MessageStatus, SmsGateway, SmsId, SmsRefused, SmsRequest
from tests.services import wire


class ProviderCase:
    """One provider's recorded traffic, and its gateway pointed at a server that plays it."""

    def __init__(self, code: str, stack: ExitStack) -> None:
        self.code, self._stack = code, stack
        self._facts = wire.load(code, "case")
        self.request = SmsRequest(**self._facts["request"])
        self.provider_reference: str = self._facts["provider_reference"]
        self.text_id = SmsId(key=self.request.key, phone=self.request.phone, provider_reference=self.provider_reference)

    def gateway(self, recording: str = "") -> SmsGateway:
        """The gateway; with a `recording`, every exchange in it must happen. Without, nobody is listening."""
        server = wire.refused_url()
        if recording:
            server, _player = self._stack.enter_context(wire.playing(*wire.exchanges(self.code, recording)))
        urls = {option: server + path for option, path in self._facts["urls"].items()}
        backend = import_string(settings.SMS_GATEWAYS[self.code]["BACKEND"])
        gateway: SmsGateway = backend(**self._facts["options"], **urls)
        return gateway


@pytest.fixture(params=sorted(settings.SMS_GATEWAYS))
def provider(request: pytest.FixtureRequest) -> Iterator[ProviderCase]:
    """A provider's recorded traffic. A gateway added without any fails here, by name."""
    with ExitStack() as stack:
        yield ProviderCase(request.param, stack)


def test_a_gateway_introduces_itself(provider):
    assert provider.gateway().code == provider.code


def test_every_recording_says_where_it_comes_from(provider):
    names = {path.stem for path in (wire.PROVIDERS / provider.code).glob("*.json")} - {"case"}

    assert [name for name in sorted(names) if not wire.load(provider.code, name).get("source")] == []


def test_an_accepted_text_has_a_name_to_ask_by(provider):
    result = provider.gateway("send_accepted").send(provider.request)

    assert result.provider_reference == provider.provider_reference


@pytest.mark.parametrize(("recording", "is_config"), [("send_refused", False), ("send_refused_config", True)])
def test_a_refusal_says_whether_an_operator_must_act(provider, recording, is_config):
    with pytest.raises(SmsRefused) as caught:
        provider.gateway(recording).send(provider.request)

    assert caught.value.is_config is is_config
    assert caught.value.code


@pytest.mark.parametrize("recording", ["send_uncertain", "send_unreadable", "send_hang_up"])
def test_silence_after_a_text_is_an_unknown_outcome(provider, recording):
    with pytest.raises(OutcomeUnknown):
        provider.gateway(recording).send(provider.request)


def test_a_provider_that_cannot_be_reached_is_unavailable(provider):
    with pytest.raises(GatewayUnavailable):
        provider.gateway().send(provider.request)
    with pytest.raises(GatewayUnavailable):
        provider.gateway("send_overloaded").send(provider.request)


def test_a_report_can_be_asked_for(provider):
    report = provider.gateway("report_delivered").query(provider.text_id)

    assert report is not None
    assert report.status is MessageStatus.DELIVERED
    assert (report.phone, report.provider_reference) == (provider.request.phone, provider.provider_reference)


def test_a_report_that_does_not_exist_yet_is_none(provider):
    gateway = provider.gateway("report_unknown")

    assert gateway.query(provider.text_id) is None


def test_silence_after_a_question_is_only_unavailable(provider):
    with pytest.raises(GatewayUnavailable):
        provider.gateway("report_server_error").query(provider.text_id)


def test_a_pushed_report_is_read_and_acknowledged(provider):
    recorded = wire.load(provider.code, "pushed_report")
    gateway = provider.gateway()

    news = gateway.read_callback(Delivery(body=wire.delivery_body(recorded), headers=recorded["headers"]))

    [report] = news.reports

    assert report.status is MessageStatus.DELIVERED
    assert (report.key, report.phone) == (provider.request.key, provider.request.phone)
    assert report.provider_reference == provider.provider_reference
    assert news.answer == recorded["receipt"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 50_000, b"{}", b"a=1"])
def test_junk_is_malformed(provider, body):
    with pytest.raises(Malformed):
        provider.gateway().read_callback(Delivery(body=body))
