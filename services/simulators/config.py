"""Every environment variable of the simulators, read in this one place."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


class BadSetting(ValueError):
    """An environment variable cannot be used; the message is one sentence for the person who set it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelcomConfig:
    """Selcom's settings; docs/simulators.md says what each means."""

    api_key: str
    api_secret: str
    vendor: str
    pin: str
    clock_window: float
    addresses: tuple[str, ...]
    products: tuple[str, ...]
    refusal_code: str
    refusal_status: int
    declined_status: str
    expired_status: str
    has_plain_url: bool
    is_ambiguous: bool
    pays_out_at_once: bool
    signs_webhooks: bool
    webhook_tries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BeemPayConfig:
    """The settings of Beem's payments; docs/simulators.md says what each means."""

    callback_url: str
    api_key: str
    secret_key: str
    prefix: str
    account: str
    token_mode: str
    token: str
    error_status: int
    without_source: str
    balance_shape: str
    payout_limit: int
    wallet_codes: tuple[str, ...]
    repeats_payouts: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AfricasTalkingConfig:
    """The settings of Africa's Talking; docs/simulators.md says what each means."""

    callback_url: str
    username: str
    api_key: str
    senders: tuple[str, ...]
    balance: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TwilioConfig:
    """Twilio's settings; docs/simulators.md says what each means."""

    callback_url: str
    account_sid: str
    auth_token: str
    api_key: str
    api_secret: str
    senders: tuple[str, ...]
    signature: str
    signing_secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NextSmsConfig:
    """NextSMS's settings; docs/simulators.md says what each means."""

    token: str
    username: str
    password: str
    senders: tuple[str, ...]
    balance: int
    names_messages: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureEmailConfig:
    """The settings of Azure's e-mail; docs/simulators.md says what each means."""

    callback_url: str
    access_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureConfig:
    """Azure's settings; docs/simulators.md says what each means."""

    callback_url: str
    access_key: str
    senders: tuple[str, ...]
    resource: str
    schema: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What the simulators were told. All durations are in seconds."""

    ledger: str
    mail_dir: Path
    clickpesa_callback_url: str
    clickpesa_client_id: str
    clickpesa_api_key: str
    clickpesa_checksum_key: str
    token_lifetime: float
    clickpesa_payout_every: float
    polar_callback_url: str
    polar_token: str
    polar_read_token: str
    polar_webhook_secret: str
    polar_standard_signature: bool
    polar_version: str
    polar_currency: str
    polar_tax_percent: int
    polar_lifetime: float
    polar_expiry_every: float
    beem_callback_url: str
    beem_api_key: str
    beem_secret_key: str
    beem_senders: tuple[str, ...]
    beem_balance: int
    deliver_after: float
    beem_delay: float
    beem_fail_with_200: bool
    africastalking: AfricasTalkingConfig
    beem_pay: BeemPayConfig
    selcom: SelcomConfig
    twilio: TwilioConfig
    nextsms: NextSmsConfig
    azure_email: AzureEmailConfig
    azure: AzureConfig
    oauth_callbacks: tuple[str, ...]
    public_url: str
    customer: str
    fault_rate: float
    fault_seed: str
    callback_fault_rate: float
    opening_balance: int
    approve_after: float
    push_timeout: float
    ask_timeout: float
    late_callback: float
    settle_after: float
    hang: float
    slow: float
    callback_tries: int
    callback_backoff: float
    callback_timeout: float


CALLBACKS = "http://127.0.0.1:8000/api/v1"
LOCAL_CALLBACKS = "http://localhost:8000/api/v1"
POLAR_VERSIONS = ("2026-04", "2026-10")
POLAR_SECRET = "whsec_ZmFyYWphLWRlbW8tcG9sYXItd2ViaG9vay1zZWNyZXQ="  # noqa: S105 - the demo's, and no secret


def read_config(environ: Mapping[str, str]) -> Config:
    """The settings in `environ`, with a demo's values for what is absent. Raises `BadSetting`.

    An empty callback address switches that provider's callbacks off; an empty checksum key switches signing off.
    """
    read = _Reader(environ)
    is_standard = read.switch("SIMULATOR_POLAR_STANDARD_SIGNATURE", True)
    return Config(
        ledger=read.text("SIMULATOR_LEDGER", ""),
        mail_dir=Path(read.text("SIMULATOR_MAIL_DIR", "var/mail")),
        clickpesa_callback_url=read.url(
            "SIMULATOR_CLICKPESA_CALLBACK_URL", f"{CALLBACKS}/webhooks/clickpesa/demo-clickpesa-callback-token/"
        ),
        clickpesa_client_id=read.text("SIMULATOR_CLICKPESA_CLIENT_ID", "demo-client"),
        clickpesa_api_key=read.text("SIMULATOR_CLICKPESA_API_KEY", "demo-api-key"),
        clickpesa_checksum_key=read.text("SIMULATOR_CLICKPESA_CHECKSUM_KEY", "demo-checksum-key"),
        token_lifetime=read.seconds("SIMULATOR_CLICKPESA_TOKEN_LIFETIME", 3600.0),
        clickpesa_payout_every=read.seconds("SIMULATOR_CLICKPESA_PAYOUT_EVERY", 0.0),
        polar_callback_url=read.url(
            "SIMULATOR_POLAR_CALLBACK_URL", f"{CALLBACKS}/webhooks/polar/demo-polar-callback-token/"
        ),
        polar_token=read.text("SIMULATOR_POLAR_TOKEN", "demo-polar-token"),
        polar_read_token=read.text("SIMULATOR_POLAR_READ_TOKEN", "demo-polar-read-token"),
        polar_webhook_secret=read.webhook_secret("SIMULATOR_POLAR_WEBHOOK_SECRET", POLAR_SECRET, is_key=is_standard),
        polar_standard_signature=is_standard,
        polar_version=read.choice("SIMULATOR_POLAR_VERSION", POLAR_VERSIONS),
        polar_currency=read.choice("SIMULATOR_POLAR_CURRENCY", ("tzs", "usd", "eur", "gbp", "kes", "bif", "rwf")),
        polar_tax_percent=read.count("SIMULATOR_POLAR_TAX_PERCENT", 0),
        polar_lifetime=read.seconds("SIMULATOR_POLAR_LIFETIME", 86_400.0),
        polar_expiry_every=read.seconds("SIMULATOR_POLAR_EXPIRY_EVERY", 900.0),
        beem_callback_url=read.url(
            "SIMULATOR_BEEM_CALLBACK_URL", f"{CALLBACKS}/messaging/reports/beem/demo-beem-callback-token/"
        ),
        beem_api_key=read.text("SIMULATOR_BEEM_API_KEY", "demo-key"),
        beem_secret_key=read.text("SIMULATOR_BEEM_SECRET_KEY", "demo-secret"),
        beem_senders=read.texts("SIMULATOR_BEEM_SENDERS", "FARAJA,INFO"),
        beem_balance=read.count("SIMULATOR_BEEM_BALANCE", 10_000),
        deliver_after=read.seconds("SIMULATOR_DELIVER_AFTER", 1.0),
        beem_delay=read.seconds("SIMULATOR_BEEM_DELAY", 0.0),
        beem_fail_with_200=read.switch("SIMULATOR_BEEM_FAIL_WITH_200", False),
        africastalking=_read_africastalking(read),
        beem_pay=_read_beem_pay(read),
        selcom=_read_selcom(read),
        twilio=_read_twilio(read),
        nextsms=_read_nextsms(read),
        azure_email=AzureEmailConfig(
            callback_url=read.url(
                "SIMULATOR_AZURE_EMAIL_CALLBACK_URL",
                f"{CALLBACKS}/messaging/reports/email/azure/demo-azure-email-callback-token/",
            ),
            access_key=read.text("SIMULATOR_AZURE_EMAIL_ACCESS_KEY", "ZGVtby1henVyZS1hY2Nlc3Mta2V5"),
        ),
        azure=_read_azure(read),
        oauth_callbacks=read.texts(
            "SIMULATOR_OAUTH_CALLBACKS", f"{CALLBACKS}/auth/social,{LOCAL_CALLBACKS}/auth/social"
        ),
        public_url=read.url("SIMULATOR_PUBLIC_URL", "").rstrip("/"),
        customer=read.choice("SIMULATOR_CUSTOMER", ("auto", "ask")),
        fault_rate=read.share("SIMULATOR_FAULT_RATE"),
        fault_seed=read.text("SIMULATOR_FAULT_SEED", "1"),
        callback_fault_rate=read.share("SIMULATOR_CALLBACK_FAULT_RATE"),
        opening_balance=read.count("SIMULATOR_OPENING_BALANCE", 10_000_000),
        approve_after=read.seconds("SIMULATOR_APPROVE_AFTER", 1.0),
        push_timeout=read.seconds("SIMULATOR_PUSH_TIMEOUT", 8.0),
        ask_timeout=read.seconds("SIMULATOR_ASK_TIMEOUT", 120.0),
        late_callback=read.seconds("SIMULATOR_LATE_CALLBACK", 20.0),
        settle_after=read.seconds("SIMULATOR_SETTLE_AFTER", 3.0),
        hang=read.seconds("SIMULATOR_HANG", 30.0),
        slow=read.seconds("SIMULATOR_SLOW", 5.0),
        callback_tries=max(1, read.count("SIMULATOR_CALLBACK_TRIES", 4)),
        callback_backoff=read.seconds("SIMULATOR_CALLBACK_BACKOFF", 0.5),
        callback_timeout=read.seconds("SIMULATOR_CALLBACK_TIMEOUT", 10.0),
    )


def _read_selcom(read: _Reader) -> SelcomConfig:
    return SelcomConfig(
        api_key=read.text("SIMULATOR_SELCOM_API_KEY", "demo-selcom-key"),
        api_secret=read.text("SIMULATOR_SELCOM_API_SECRET", "demo-selcom-secret"),
        vendor=read.text("SIMULATOR_SELCOM_VENDOR", "demo-till"),
        pin=read.text("SIMULATOR_SELCOM_PIN", "demo-pin"),
        clock_window=read.seconds("SIMULATOR_SELCOM_CLOCK_WINDOW", 300.0),
        addresses=read.texts("SIMULATOR_SELCOM_ADDRESSES", ""),
        products=read.texts("SIMULATOR_SELCOM_PRODUCTS", "checkout,walletcashin,selcompesa,qwiksend,vendor"),
        refusal_code=read.text("SIMULATOR_SELCOM_REFUSAL_CODE", "400"),
        refusal_status=read.status("SIMULATOR_SELCOM_REFUSAL_STATUS", 200),
        declined_status=read.text("SIMULATOR_SELCOM_DECLINED_STATUS", "REJECTED"),
        expired_status=read.text("SIMULATOR_SELCOM_EXPIRED_STATUS", "PENDING"),
        has_plain_url=read.switch("SIMULATOR_SELCOM_PLAIN_URL", False),
        is_ambiguous=read.switch("SIMULATOR_SELCOM_AMBIGUOUS", False),
        pays_out_at_once=read.switch("SIMULATOR_SELCOM_PAYOUT_AT_ONCE", False),
        signs_webhooks=read.switch("SIMULATOR_SELCOM_WEBHOOK_SIGNED", True),
        webhook_tries=max(1, read.count("SIMULATOR_SELCOM_WEBHOOK_TRIES", 1)),
    )


def _read_africastalking(read: _Reader) -> AfricasTalkingConfig:
    return AfricasTalkingConfig(
        callback_url=read.url(
            "SIMULATOR_AFRICASTALKING_CALLBACK_URL",
            f"{CALLBACKS}/messaging/reports/africastalking/demo-africastalking-callback-token/",
        ),
        username=read.text("SIMULATOR_AFRICASTALKING_USERNAME", "sandbox"),
        api_key=read.text("SIMULATOR_AFRICASTALKING_API_KEY", "demo-africastalking-key"),
        senders=read.texts("SIMULATOR_AFRICASTALKING_SENDERS", "FARAJA,INFO"),
        balance=read.count("SIMULATOR_AFRICASTALKING_BALANCE", 10_000),
    )


def _read_azure(read: _Reader) -> AzureConfig:
    return AzureConfig(
        callback_url=read.url(
            "SIMULATOR_AZURE_CALLBACK_URL", f"{CALLBACKS}/messaging/reports/azure/demo-azure-callback-token/"
        ),
        access_key=read.key("SIMULATOR_AZURE_ACCESS_KEY", "ZGVtby1henVyZS1hY2Nlc3Mta2V5"),
        senders=read.texts("SIMULATOR_AZURE_SENDERS", "FARAJA,INFO"),
        resource=read.text("SIMULATOR_AZURE_RESOURCE", "demo-communication"),
        schema=read.choice("SIMULATOR_AZURE_SCHEMA", ("grid", "cloud")),
    )


def _read_beem_pay(read: _Reader) -> BeemPayConfig:
    return BeemPayConfig(
        callback_url=read.url(
            "SIMULATOR_BEEM_PAY_CALLBACK_URL", f"{CALLBACKS}/webhooks/beem_pay/demo-beem-pay-callback-token/"
        ),
        api_key=read.text("SIMULATOR_BEEM_PAY_API_KEY", "demo-beem-key"),
        secret_key=read.text("SIMULATOR_BEEM_PAY_SECRET_KEY", "demo-beem-secret"),
        prefix=read.text("SIMULATOR_BEEM_PAY_PREFIX", "DEMO"),
        account=read.text("SIMULATOR_BEEM_PAY_ACCOUNT", "demo-account"),
        token_mode=read.choice("SIMULATOR_BEEM_PAY_TOKEN_MODE", ("echo", "global", "none")),
        token=read.text("SIMULATOR_BEEM_PAY_TOKEN", "demo-beem-secure-token"),
        error_status=read.status("SIMULATOR_BEEM_PAY_ERROR_STATUS", 400),
        without_source=read.choice("SIMULATOR_BEEM_PAY_WITHOUT_SOURCE", ("redirect", "page")),
        balance_shape=read.choice("SIMULATOR_BEEM_PAY_BALANCE_SHAPE", ("data", "code")),
        payout_limit=read.count("SIMULATOR_BEEM_PAY_PAYOUT_LIMIT", 5_000_000),
        wallet_codes=read.texts("SIMULATOR_BEEM_PAY_WALLET_CODES", ""),
        repeats_payouts=read.switch("SIMULATOR_BEEM_PAY_REPEATS_PAYOUTS", True),
    )


def _read_twilio(read: _Reader) -> TwilioConfig:
    return TwilioConfig(
        callback_url=read.url(
            "SIMULATOR_TWILIO_CALLBACK_URL", f"{CALLBACKS}/messaging/reports/twilio/demo-twilio-callback-token/"
        ),
        account_sid=read.text("SIMULATOR_TWILIO_ACCOUNT_SID", "AC00000000000000000000000000000001"),
        auth_token=read.text("SIMULATOR_TWILIO_AUTH_TOKEN", "demo-twilio-token"),
        api_key=read.text("SIMULATOR_TWILIO_API_KEY", "SK00000000000000000000000000000001"),
        api_secret=read.text("SIMULATOR_TWILIO_API_SECRET", "demo-twilio-secret"),
        senders=read.texts("SIMULATOR_TWILIO_SENDERS", "FARAJA,INFO,MG00000000000000000000000000000001"),
        signature=read.choice("SIMULATOR_TWILIO_SIGNATURE", ("sha1", "sha256")),
        signing_secret=read.text("SIMULATOR_TWILIO_SIGNING_SECRET", "demo-twilio-signing-secret"),
    )


def _read_nextsms(read: _Reader) -> NextSmsConfig:
    return NextSmsConfig(
        token=read.text("SIMULATOR_NEXTSMS_TOKEN", "demo-nextsms-token"),
        username=read.text("SIMULATOR_NEXTSMS_USERNAME", "demo"),
        password=read.text("SIMULATOR_NEXTSMS_PASSWORD", "demo-nextsms-password"),
        senders=read.texts("SIMULATOR_NEXTSMS_SENDERS", "FARAJA,INFO"),
        balance=read.count("SIMULATOR_NEXTSMS_BALANCE", 10_000),
        names_messages=read.switch("SIMULATOR_NEXTSMS_MESSAGE_ID", False),
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    environ: Mapping[str, str]

    def text(self, name: str, default: str) -> str:
        return self.environ.get(name, default).strip()

    def texts(self, name: str, default: str) -> tuple[str, ...]:
        return tuple(each.strip() for each in self.text(name, default).split(",") if each.strip())

    def url(self, name: str, default: str) -> str:
        value = self.text(name, default)
        if value and not value.startswith(("http://", "https://")):
            raise BadSetting(f"{name} must start with http:// or https://, not {value!r}.")
        return value

    def seconds(self, name: str, default: float) -> float:
        value = self.text(name, "") or str(default)
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if not 0 <= number < 1e9:  # also refuses NaN and infinity
            raise BadSetting(f"{name} must be a number of seconds, not {value!r}.")
        return number

    def share(self, name: str) -> float:
        value = self.text(name, "") or "0"
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if not 0 <= number <= 1:
            raise BadSetting(f"{name} must be a number from 0 to 1, not {value!r}.")
        return number

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        """One of `choices`, the first when nothing is said."""
        value = self.text(name, "").lower() or choices[0]
        if value not in choices:
            raise BadSetting(f"{name} must be one of {', '.join(choices)}, not {value!r}.")
        return value

    def count(self, name: str, default: int) -> int:
        value = self.text(name, "") or str(default)
        if not (value.isascii() and value.isdigit() and len(value) < 16):
            raise BadSetting(f"{name} must be a whole number, not {value!r}.")
        return int(value)

    def status(self, name: str, default: int) -> int:
        """A status of HTTP that goes with a body."""
        status = self.count(name, default)
        if not 200 <= status <= 599 or status in (204, 205, 304):
            raise BadSetting(f"{name} must be an HTTP status from 200 to 599, not {status}.")
        return status

    def webhook_secret(self, name: str, default: str, *, is_key: bool) -> str:
        """A secret for signing webhooks; with `is_key` it must be a key in base64 behind `whsec_`."""
        value = self.text(name, default)
        encoded = value.removeprefix("whsec_")
        try:
            key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if not value or (is_key and not key):
            raise BadSetting(f"{name} must be whsec_ and a key in base64, unless the older signatures are used.")
        return value

    def key(self, name: str, default: str) -> str:
        """A key in base64."""
        value = self.text(name, default)
        try:
            key = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if not key:
            raise BadSetting(f"{name} must be a key in base64.")
        return value

    def switch(self, name: str, default: bool) -> bool:
        value = self.text(name, "").lower() or str(default).lower()
        if value not in {"true", "false", "1", "0", "yes", "no", "on", "off"}:
            raise BadSetting(f"{name} must be true or false, not {value!r}.")
        return value in {"true", "1", "yes", "on"}
