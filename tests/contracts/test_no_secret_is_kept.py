"""Every secret that passes through is looked for afterwards: in each column of each table, in Redis and in the log."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from django.conf import settings
from django.core import mail
from django.db import connection
from rest_framework.test import APIClient

from apps.accounts.models import VerificationCode
from apps.accounts.services.codes import code_of
from apps.tenants.models import Tenant
from core.logging import JsonFormatter, TextFormatter
from core.outbox import relay
from services.payments.providers.clickpesa_checksum import canonical_checksum
from tests.contracts.test_routes import TOKENS
from tests.factories.accounts import PASSWORD, fresh_phone
from tests.factories.payments import a_wish_to_pay
from tests.factories.tenants import tokens_sent
from tests.figures import RecordFigure
from tests.services.wire import load

API, ORIGIN = "/api/v1", "https://app.faraja.test"
NEW_PASSWORD = "chai-na-kahawa-8"
# No secret, and stored: what the search has to find, or else it would prove nothing.
INVITED = "juma@example.com"


def everything_stored() -> Iterator[tuple[str, str, str]]:
    """Table, column and value of every cell of the database, of all tenants."""
    tenants = [str(tenant) for tenant in Tenant.objects.values_list("pk", flat=True)]
    with connection.cursor() as cursor:
        for tenant in tenants:
            if connection.vendor == "postgresql":
                cursor.execute("SELECT set_config('app.tenant_id', %s, true)", [tenant])
            for table in connection.introspection.table_names(cursor):
                cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608  tables of ours
                names = [column[0] for column in cursor.description]
                for row in cursor.fetchall():
                    yield from ((table, name, as_text(value)) for name, value in zip(names, row, strict=True))


def as_text(value: Any) -> str:
    return bytes(value).decode("latin-1") if isinstance(value, bytes | memoryview) else str(value)


def everything_in_redis() -> str:
    """Names and values of every key."""
    if not settings.REDIS_URL:
        return ""
    server = redis.Redis.from_url(settings.REDIS_URL, decode_responses=True)
    return "\n".join(f"{key} {server.dump(key)!r}" for key in server.scan_iter())


def parts_of(secret: str) -> list[str]:
    """A secret, and the half of it that is worth as much: a token's signature, a key without its prefix."""
    halves = [secret.rpartition(mark)[2] for mark in "._" if mark in secret]
    return [secret, *(half for half in halves if len(half) >= 20)]


def stands_in(secret: str, text: str) -> bool:
    """Six digits are looked for on their own: a time's fraction or a longer number may hold any."""
    if len(secret) == 6 and secret.isdigit():
        return re.search(rf"(?<![0-9A-Za-z.]){secret}(?![0-9A-Za-z])", text) is not None
    return secret in text


class Journey:
    """A person who does everything that has a secret in it."""

    def __init__(self) -> None:
        self.secrets: dict[str, set[str]] = {}
        self.client = APIClient(raise_request_exception=False)

    def met(self, kind: str, *values: str | None) -> None:
        self.secrets.setdefault(kind, set()).update(value for value in values if value)

    def post(self, path: str, body: Any = None, status: int = 200, **headers: str) -> dict[str, Any]:
        response = self.client.post(f"{API}/{path}/", body or {}, format="json", headers=headers)
        assert response.status_code == status, (path, response.content)
        self.met("token", *(cookie.value for cookie in response.cookies.values()))
        data = response.json()["data"] or {}
        self.met("token", data.get("access"), data.get("refresh"), data.get("csrf_token"))
        return dict(data)

    def answer(self, path: str, body: Any = None) -> dict[str, str]:
        """Ask for a code, let the worker do what it can about it, and give the right answer."""
        challenge = self.post(path, body)["challenge"]
        code = code_of(VerificationCode.objects.get(pk=challenge))
        self.work()
        self.met("code", code)
        return {"challenge": challenge, "code": code}

    def work(self) -> None:
        for row_id, token in relay.claim():
            relay.deliver(row_id, token)

    def follow_mail(self) -> str:
        """The token in the newest mail."""
        for _ in range(2):  # a reset link is issued by one event and sent by another
            self.work()
        found = re.search(r"token=(\S+)", str(mail.outbox[-1].body))
        assert found
        self.met("link", found.group(1), found.group(1)[32:])  # the row's id comes first
        return found.group(1)


@pytest.mark.invariant("I55")
@pytest.mark.django_db
def test_no_secret_is_stored_or_logged_as_it_is(caplog, record_figure: RecordFigure):
    caplog.set_level(logging.DEBUG)
    journey = Journey()
    journey.met("password", PASSWORD, NEW_PASSWORD, "siri-isiyo-sahihi-5")
    journey.met("setting", settings.SECRET_KEY, *TOKENS.values())
    for gateway in (*settings.PAYMENT_GATEWAYS.values(), *settings.SMS_GATEWAYS.values()):
        told = gateway["OPTIONS"] | gateway.get("CREDENTIALS", {})
        journey.met("setting", *(str(value) for name, value in told.items() if "url" not in name))

    phone = fresh_phone()
    register = {"email": "asha@example.com", "password": PASSWORD, "first_name": "Asha", "phone": phone}
    mine = journey.post("auth/register", register, 201)
    journey.post("auth/verify-email", {"token": journey.follow_mail()})
    journey.post("auth/login", {"email": "asha@example.com", "password": "siri-isiyo-sahihi-5"}, 401)
    journey.post("auth/login", {"email": "asha@example.com", "password": PASSWORD, "transport": "cookies"})
    journey.client.cookies.clear()
    mine = journey.post("auth/refresh", {"refresh": mine["refresh"]})
    journey.post("auth/refresh", {"refresh": mine["refresh"] + "x"}, 401)
    journey.post("auth/reset-password", {"email": "asha@example.com"})
    journey.post("auth/reset-password-confirm", {"token": journey.follow_mail(), "password": NEW_PASSWORD})
    mine = journey.post("auth/login", {"email": "asha@example.com", "password": NEW_PASSWORD})
    journey.client.credentials(HTTP_AUTHORIZATION=f"Bearer {mine['access']}")
    journey.post("auth/verify-phone-confirm", journey.answer("auth/verify-phone"))
    journey.post("auth/verify-otp", journey.answer("auth/request-otp", {"phone": phone}))
    key = journey.post("tenants/api-keys", {"name": "Zapier", "scopes": ["payments:write"]}, 201)["key"]
    journey.met("key", key)
    journey.post("tenants/invitations", {"email": INVITED}, 201)
    (tenant,) = Tenant.objects.all()
    for token in _invited(tenant.pk):
        journey.met("invitation", token, token[32:])  # the row's id comes first
    journey.client.get(f"{API}/payments/?token={mine['access']}&cursor={mine['refresh']}")
    journey.client.credentials(HTTP_AUTHORIZATION=f"Api-Key {key}")
    journey.post("payments", a_wish_to_pay(), 201, **{"Idempotency-Key": "one"})
    journey.client.credentials()
    news = load("clickpesa", "webhook_paid")["json"]
    checksum = canonical_checksum(news, settings.PAYMENT_GATEWAYS["clickpesa"]["CREDENTIALS"]["checksum_key"])
    journey.post(f"webhooks/clickpesa/{TOKENS['clickpesa']}", {**news, "checksum": checksum})

    formatters = (JsonFormatter(), TextFormatter())
    log = "\n".join(formatter.format(record) for record in caplog.records for formatter in formatters)
    cells, in_redis = list(everything_stored()), everything_in_redis()
    hits = set()
    for kind, values in journey.secrets.items():
        for part in {part for value in values for part in parts_of(value)}:
            hits |= {(kind, table, column) for table, column, text in cells if stands_in(part, text)}
            hits |= {(kind, "log", "")} if stands_in(part, log) else set()
            hits |= {(kind, "redis", "")} if stands_in(part, in_redis) else set()

    assert hits == set()
    assert ("messaging_message", "to") in {(table, column) for table, column, text in cells if INVITED in text}
    assert {"code", "invitation", "key", "link", "password", "setting", "token"} <= journey.secrets.keys()
    assert len(cells) > 200
    assert "POST /api/v1/auth/login/" in log
    counted = sum(len(values) for values in journey.secrets.values())
    record_figure(f"{counted} secrets, {len(cells)} cells, {len(caplog.records)} log records: 0 hits")


def _invited(tenant_id: Any) -> list[str]:
    class Room:
        """As much of a member as the factory reads."""

    room: Any = Room()
    room.tenant_id = tenant_id
    return tokens_sent(room)
