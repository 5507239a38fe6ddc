"""One SMS gateway's recorded traffic in `tests/providers/<code>/`, as the conformance suite reads it.

To plug in a gateway: write the recordings below (a missing one is demanded by name), and for the suite that plays it
against its simulator a file `tests/services/sms/cases/<code>.py` (see `cases/__init__.py`).

`case.json` holds

- `options`: the account, as the adapter's constructor takes it;
- `urls`: the options that are addresses, with the path that each adds to the server's;
- `request`: the fields of the `SmsRequest` that all recordings of sending answer;
- `provider_reference`: the provider's name for that text in all recordings;
- `personal`: what must never be seen in a log or a `repr`, beside the text, the phone and the secrets (may be absent);
- `secrets`: the options that are secrets;
- `signed`: what a callback's proof covers, some of `body`, `headers`, `url`; absent where nothing is signed;
- `url`: the address to which callbacks come, where the proof covers it;
- `at` (ISO 8601): the moment at which everything is played, where a signature or a window of time depends on the clock.

Every other file is one recording and says its `source`. Those of calls hold `exchanges` (see `wire.py`: a request may
have `json` or `form`). Those of callbacks hold `headers`, `json` or `text` and, as far as it differs from the case's,
`url`.

- `send_refused_<anything>` says `reason`, one of `Refusal`, and `code`, the provider's own word. There is at least one
  with the reason `number` and one with `account`, and one for every other reason that the adapter can give.
- `report_<anything>` says `status`, one of `MessageStatus` (null: a word that we do not know), and, where the text that
  is asked about is not the case's, `id`.
- `pushed_report_<anything>` says `status` likewise, and may say `is_opt_out` and `receipt`, which is what the provider
  wants to hear. Where the provider does not return our key, `has_key` is false.
- `pushed_inbound_<anything>` says `inbound`: the fields of one `InboundText`.
- `pushed_opt_out` says `opted_out`: the phones.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable
from contextlib import ExitStack
from datetime import datetime
from importlib import import_module
from typing import Any

import time_machine

from services.http import Delivery
from services.sms import providers
from services.sms.base import Refusal, SmsCapability, SmsGateway, SmsId, SmsRequest
from tests.services import wire

ALWAYS = (
    "send_accepted",
    "send_overloaded",
    "send_uncertain",
    "send_unreadable",
    "send_hang_up",
    "probe",
    "probe_refused",
    "probe_hang_up",
)
DEMANDED: dict[SmsCapability, tuple[str, ...]] = {
    SmsCapability.QUERY: ("report_delivered", "report_failed", "report_unknown", "report_hang_up"),
    SmsCapability.REPORTS: ("pushed_report_delivered", "pushed_report_failed"),
    SmsCapability.INBOUND: ("pushed_inbound",),
    SmsCapability.IDEMPOTENT_SEND: ("send_repeated",),
}
# Recordings of a question that tell nothing of a text.
SILENT = {"report_unknown", "report_hang_up"}


def _gateways() -> dict[str, type[SmsGateway]]:
    found: dict[str, type[SmsGateway]] = {}
    for module in pkgutil.iter_modules(providers.__path__):
        for each in vars(import_module(f"{providers.__name__}.{module.name}")).values():
            if isinstance(each, type) and issubclass(each, SmsGateway) and "code" in vars(each):
                found[each.code] = each
    return found


GATEWAYS = _gateways()


def demanded_recordings(capabilities: Iterable[SmsCapability]) -> set[str]:
    """The recordings without which a gateway that declares `capabilities` has proven nothing."""
    return {*ALWAYS, *(name for capability in capabilities for name in DEMANDED[capability])}


def gateways_with(*wanted: SmsCapability) -> list[str]:
    """The gateways in `services/sms/providers/` that declare all of `wanted`."""
    return [code for code, kind in sorted(GATEWAYS.items()) if set(wanted) <= kind.capabilities]


def recordings(code: str, beginning: str = "") -> list[str]:
    """The gateway's recordings whose name begins so."""
    names = {path.stem for path in (wire.PROVIDERS / code).glob(f"{beginning}*.json")}
    return sorted(names - {"case"})


def recorded(beginning: str, *, but: Iterable[str] = ()) -> list[tuple[str, str]]:
    """Every gateway with each of its recordings whose name begins so, as `(gateway, recording)`."""
    return [(code, name) for code in gateways_with() for name in recordings(code, beginning) if name not in set(but)]


def recorded_reasons(code: str) -> set[Refusal]:
    """Why the provider does not take a text, according to its recordings."""
    return {Refusal(wire.load(code, name)["reason"]) for name in recordings(code, "send_refused")}


class SmsCase:
    """One provider's recorded traffic, and its gateway pointed at a server that plays it."""

    def __init__(self, code: str, stack: ExitStack) -> None:
        self.code, self._stack = code, stack
        self.kind = GATEWAYS[code]
        self._facts = wire.load(code, "case")
        self.request = SmsRequest(**self._facts["request"])
        self.provider_reference: str = self._facts["provider_reference"]
        self.signed = frozenset(self._facts.get("signed", ()))
        if "at" in self._facts:
            stack.enter_context(time_machine.travel(datetime.fromisoformat(self._facts["at"]), tick=False))

    def text_id(self, recording: str = "") -> SmsId:
        """The text that this recording is about."""
        given = wire.load(self.code, recording).get("id", {}) if recording else {}
        own = {"key": self.request.key, "phone": self.request.phone, "provider_reference": self.provider_reference}
        return SmsId(**{**own, **given})

    def recording(self, name: str) -> dict[str, Any]:
        """One recording as it stands."""
        found: dict[str, Any] = wire.load(self.code, name)
        return found

    def gateway(self, recording: str = "") -> SmsGateway:
        """The gateway; with a `recording`, every exchange in it must happen. Without, nobody is listening."""
        if not recording:
            return self.gateway_at(wire.refused_url())
        return self.gateway_playing(*wire.exchanges(self.code, recording))

    def gateway_playing(self, *exchanges: dict[str, Any]) -> SmsGateway:
        """The gateway at a server that plays these exchanges."""
        server, _player = self._stack.enter_context(wire.playing(*exchanges))
        return self.gateway_at(server)

    def gateway_at(self, server: str) -> SmsGateway:
        """The gateway with the recorded account, at this server."""
        urls = {option: server + path for option, path in self._facts["urls"].items()}
        return self.kind(**self._facts["options"], **urls)

    def callback(self, name: str) -> Delivery:
        """A recorded callback."""
        recording = self.recording(name)
        url = recording.get("url", self._facts.get("url", ""))
        return Delivery(body=wire.delivery_body(recording), headers=recording["headers"], url=url)

    def private(self) -> list[str]:
        """What nobody may find in a log or a `repr`."""
        secrets = [str(self._facts["options"][name]) for name in self._facts["secrets"]]
        personal = [self.request.text, self.request.phone.removeprefix("+"), *self._facts.get("personal", ())]
        return secrets + personal
