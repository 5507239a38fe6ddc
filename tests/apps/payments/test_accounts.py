"""Accounts at gateways: whose money goes where, secrets that never come out, callback addresses that nobody stores."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import StringIO

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.urls import resolve
from django.utils import timezone
from rest_framework.test import APIClient

from apps.payments.callback_tokens import LENGTH, CallbackAddress, callback_token, read_callback_token
from apps.payments.models.accounts import GatewayAccount
from apps.payments.models.inbox import InboxDelivery
from apps.payments.services import accounts
from apps.payments.services.accounts import (
    SAVE_REFUSALS,
    CredentialsInvalid,
    callback_url_of,
    choose_account,
    list_gateways,
    open_account,
    retire_account,
    save_account,
)
from core.audit.models import AuditEntry
from core.exceptions import NotFound
from core.tenancy import tenant_scope, tenant_transaction
from services.http import GatewayUnavailable
from services.payments.base import Credential, GatewayRefused, Trust
from services.payments.providers.clickpesa_checksum import canonical_checksum
from services.payments.registry import GatewayNotEnabled
from tests.contracts.routes import all_routes
from tests.envelope import refusal_of
from tests.factories.accounts import Member
from tests.factories.payments import CREDENTIALS, make_account, make_payment, only_attempt
from tests.factories.tenants import add_member, make_api_key
from tests.fakes import ScriptedGateway, scripted_gateway

pytestmark = pytest.mark.django_db

GATEWAYS = "/api/v1/payments/gateways/"
ACCOUNT = f"{GATEWAYS}clickpesa/account/"
ROTATE = f"{ACCOUNT}rotate-callback/"


def put(client: APIClient, body: dict, path: str = ACCOUNT):
    return client.put(path, body, format="json")


@contextmanager
def room(member: Member) -> Iterator[None]:
    """Inside `member`'s tenant, as a use case is."""
    with tenant_scope(member.tenant_id), tenant_transaction():
        yield


def path_of(url: str) -> str:
    return url.removeprefix("http://127.0.0.1:8000")


def paid_at(key: str, reference: str) -> bytes:
    data = {"id": "LCP1", "status": "SUCCESS", "orderReference": reference}
    news = {"event": "PAYMENT RECEIVED", "data": data | {"collectedAmount": "5000", "collectedCurrency": "TZS"}}
    return json.dumps(news | {"checksum": canonical_checksum(news, key)}).encode()


# --- What is available -----------------------------------------------------------------------------------------------


def test_whoever_may_read_payments_learns_what_they_can_pay_with(member, member_client):
    offered = {each["code"]: each for each in member_client.get(GATEWAYS).json()["data"]}

    assert set(offered) == {"clickpesa", "selcom", "beem_pay", "polar"}
    assert offered["clickpesa"] == {
        "code": "clickpesa",
        "name": "ClickPesa",
        "account": "shared",
        "methods": ["push", "checkout", "card"],
        "currencies": ["TZS", "USD"],
        "capabilities": offered["clickpesa"]["capabilities"],
    }
    assert {"query", "list", "payout_phone"} <= set(offered["clickpesa"]["capabilities"])
    assert "refund" in offered["polar"]["capabilities"]
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Api-Key {make_api_key(member)[1]}")
    assert client.get(GATEWAYS).status_code == 200
    assert APIClient().get(GATEWAYS).status_code == 401


def offers(client: APIClient) -> dict[str, str]:
    """The gateways that `client` is offered, and whose account each is."""
    return {each["code"]: each["account"] for each in client.get(GATEWAYS).json()["data"]}


def test_an_own_account_is_offered_in_place_of_the_shared_one_and_not_at_all_while_it_is_off(member, member_client):
    make_account(member)
    assert offers(member_client)["clickpesa"] == "own"

    put(member_client, {"is_enabled": False})

    assert "clickpesa" not in offers(member_client)
    assert offers(member_client)["polar"] == "shared"


def test_a_gateway_without_an_account_of_the_installation_is_there_for_who_brings_one(member, member_client, settings):
    settings.PAYMENT_GATEWAYS = {"clickpesa": settings.PAYMENT_GATEWAYS["clickpesa"] | {"CREDENTIALS": None}}
    assert member_client.get(GATEWAYS).json()["data"] == []

    make_account(member)

    assert [each["account"] for each in member_client.get(GATEWAYS).json()["data"]] == ["own"]


def test_nobody_is_asked_what_is_available(in_tenant, django_assert_max_num_queries):
    with scripted_gateway() as gateway, django_assert_max_num_queries(6):
        assert [offer.code for offer in list_gateways()] == ["scripted"]

        assert gateway.calls == []


# --- Bringing an account ---------------------------------------------------------------------------------------------


def test_an_account_is_saved_shown_without_secrets_and_used(member, member_client):
    assert refusal_of(member_client.get(ACCOUNT)) == (404, "not_found")

    saved = put(member_client, {"credentials": CREDENTIALS})

    assert saved.status_code == 200, saved.json()
    assert saved.headers["Cache-Control"] == "no-store"
    told = member_client.get(ACCOUNT).json()["data"]
    assert told == saved.json()["data"]
    assert [(each["name"], each["is_set"], each["value"]) for each in told["credentials"]] == [
        ("client_id", True, "IDown"),
        ("api_key", True, None),
        ("checksum_key", True, None),
    ]
    for answer in (saved, member_client.get(ACCOUNT)):
        assert b"SKown" not in answer.content
        assert b"CHKown" not in answer.content
    with room(member):
        row = GatewayAccount.objects.get()
        assert "SKown" not in row.credentials
        chosen = choose_account("clickpesa")
        payment = make_payment(member)
        assert (chosen.id, chosen.tenant_id) == (row.pk, member.tenant_id)
        assert only_attempt(payment).account_id == row.pk


def test_an_account_is_one_tenants_alone(member, stranger):
    make_account(member)

    assert refusal_of(stranger.client().get(ACCOUNT)) == (404, "not_found")
    with room(stranger):
        assert choose_account("clickpesa").id is None


@pytest.mark.parametrize(
    ("credentials", "at_fault"),
    [
        ({}, {"credentials.client_id", "credentials.api_key"}),
        ({"client_id": "ID1", "api_key": "  "}, {"credentials.api_key"}),
        (CREDENTIALS | {"base_url": "https://evil.example"}, {"credentials.base_url"}),
        (CREDENTIALS | {"read_timeout": "1"}, {"credentials.read_timeout"}),
        (CREDENTIALS | {"api_key": "SK\nX-Admin: 1"}, {"credentials"}),
    ],
)
def test_credentials_are_those_that_the_adapter_asks_for_and_can_use(member, member_client, credentials, at_fault):
    response = put(member_client, {"credentials": credentials})

    assert refusal_of(response) == (422, "credentials_invalid")
    assert set(response.json()["errors"]) == at_fault
    assert "SK" not in json.dumps(response.json())
    assert not GatewayAccount.unscoped.exists()
    assert CredentialsInvalid in SAVE_REFUSALS


@pytest.mark.parametrize(
    "body",
    [
        {"credentials": "all"},
        {"credentials": {"api_key": 5}},
        {"credentials": {"api_key": "x" * 8001}},
        {"credentials": {str(number): "x" for number in range(21)}},
        {"is_enabled": "yes"},
        {"is_enabled": 1},
        {"base_url": "https://evil.example"},
    ],
)
def test_a_body_of_another_shape_is_refused(member, member_client, body):
    assert refusal_of(put(member_client, body)) == (400, "validation_error")
    assert not GatewayAccount.unscoped.exists()


def test_only_owners_and_admins_may_touch_an_account(member):
    make_account(member)
    plain = add_member(member).client()
    key = APIClient()
    key.credentials(HTTP_AUTHORIZATION=f"Api-Key {make_api_key(member, scopes=['payments:read', 'payments:write'])[1]}")

    for client, code in ((plain, "admins_only"), (key, "api_key_not_accepted")):
        for ask in (
            lambda client=client: client.get(ACCOUNT),
            lambda client=client: put(client, {"is_enabled": False}),
            lambda client=client: client.delete(ACCOUNT),
            lambda client=client: client.post(ROTATE),
        ):
            assert refusal_of(ask()) == (403, code)
    with room(member):
        assert GatewayAccount.objects.get().is_enabled
    assert put(add_member(member, "admin").client(), {"is_enabled": False}).status_code == 200


def test_a_stolen_session_of_earlier_cannot_lead_the_money_elsewhere(member, member_client):
    make_account(member)

    with time_machine.travel(timezone.now() + timedelta(minutes=11), tick=False):
        for response in (
            put(member_client, {"credentials": CREDENTIALS}),
            member_client.delete(ACCOUNT),
            member_client.post(ROTATE),
        ):
            assert refusal_of(response) == (403, "reauthentication_required")


def test_an_unknown_gateway_has_no_account(member_client):
    for path in (f"{GATEWAYS}nopay/account/", f"{GATEWAYS}nopay/account/rotate-callback/"):
        assert refusal_of(member_client.post(path) if "rotate" in path else member_client.get(path)) == (
            404,
            "not_found",
        )
    assert refusal_of(put(member_client, {"credentials": CREDENTIALS}, f"{GATEWAYS}nopay/account/")) == (
        404,
        "not_found",
    )


def test_what_is_left_out_stays_as_it_is(member, member_client):
    make_account(member)

    put(member_client, {"allows_manual_refunds": False, "refuses_when_down": True})
    told = put(member_client, {"is_enabled": True}).json()["data"]

    assert (told["is_enabled"], told["allows_manual_refunds"], told["refuses_when_down"]) == (True, False, True)
    with room(member):
        assert choose_account("clickpesa").gateway.trust is Trust.SIGNED


def test_every_change_is_audited_without_secrets(member, member_client):
    put(member_client, {"credentials": CREDENTIALS})
    put(member_client, {"is_enabled": False})
    member_client.post(ROTATE)
    member_client.delete(ACCOUNT)

    lines = list(AuditEntry.objects.filter(action__startswith="gateway_account").order_by("at"))
    assert [line.action for line in lines] == [
        "gateway_account.added",
        "gateway_account.changed",
        "gateway_account.rotated",
        "gateway_account.retired",
    ]
    assert {(line.actor_id, line.tenant_id) for line in lines} == {(member.user.pk, member.tenant_id)}
    assert lines[1].data["changed"] == ["is_enabled"]
    assert "own" not in json.dumps([line.data for line in lines])
    seen = member_client.get("/api/v1/tenants/current/audit/").json()["data"]["results"]
    assert "gateway_account.retired" in {each["action"] for each in seen}


def test_an_account_that_is_off_refuses_new_business_and_still_ends_what_was_begun(member, member_client):
    make_account(member)
    with room(member):
        attempt = only_attempt(make_payment(member))

    put(member_client, {"is_enabled": False})

    with room(member):
        with pytest.raises(GatewayNotEnabled):
            choose_account("clickpesa")
        assert open_account("clickpesa", attempt.account_id).id == attempt.account_id


def test_new_secrets_of_the_same_merchant_change_the_account_in_place(member):
    before = make_account(member)
    with room(member):
        attempt = only_attempt(make_payment(member))

    after = make_account(member, **(CREDENTIALS | {"api_key": "SKnew"}))

    assert after.callback_url == before.callback_url
    with room(member):
        assert choose_account("clickpesa").id == attempt.account_id


def test_another_merchant_is_another_account_and_the_old_one_ends_what_it_began(member):
    before = make_account(member)
    with room(member):
        attempt = only_attempt(make_payment(member))

    after = make_account(member, **(CREDENTIALS | {"client_id": "IDother"}))

    assert after.callback_url != before.callback_url
    with room(member):
        assert choose_account("clickpesa").id != attempt.account_id
        assert open_account("clickpesa", attempt.account_id).gateway is not choose_account("clickpesa").gateway
        assert GatewayAccount.objects.count() == 2


def test_a_misspelt_merchant_that_nothing_was_begun_with_is_corrected_in_place(member):
    make_account(member, **(CREDENTIALS | {"client_id": "IDtypo"}))

    make_account(member)

    with room(member):
        assert GatewayAccount.objects.count() == 1


def test_an_account_that_is_given_up_makes_room_for_the_shared_one(member, member_client):
    make_account(member)
    with room(member):
        attempt = only_attempt(make_payment(member))

    assert member_client.delete(ACCOUNT).status_code == 200

    assert refusal_of(member_client.delete(ACCOUNT)) == (404, "not_found")
    with room(member):
        assert choose_account("clickpesa").id is None
        assert open_account("clickpesa", attempt.account_id).id == attempt.account_id
    make_account(member)
    with room(member):
        assert choose_account("clickpesa").id not in {None, attempt.account_id}


def test_without_an_account_there_is_nothing_to_give_up(in_tenant):
    with pytest.raises(NotFound):
        retire_account(actor_id=in_tenant.user.pk, gateway="clickpesa")


def test_a_secret_whose_key_is_lost_is_a_clean_refusal_and_can_be_replaced(member, member_client):
    make_account(member)
    with room(member):
        GatewayAccount.objects.update(credentials="gAAAAA-not-ours")

    assert refusal_of(member_client.get(ACCOUNT)) == (503, "temporarily_unavailable")
    assert put(member_client, {"credentials": CREDENTIALS}).status_code == 200


# --- The callback address --------------------------------------------------------------------------------------------


@pytest.fixture
def address() -> CallbackAddress:
    return CallbackAddress(tenant_id=uuid.uuid4(), account_id=uuid.uuid4(), version=7)


def test_a_token_names_its_account_and_fits_into_an_address(address):
    token = callback_token(address)

    assert len(token) == LENGTH
    assert resolve(accounts.CALLBACK_PATH.format(gateway="clickpesa", token=token)).kwargs["token"] == token
    assert read_callback_token(token) == address


def test_no_other_token_is_read(address):
    token = callback_token(address)
    others = [token[:-1], token + "A", "", "x" * LENGTH, "\u00e9" * LENGTH, "=" * LENGTH, token.swapcase()]
    others += [
        token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :] for place in range(0, LENGTH, 3)
    ]

    assert [other for other in others if read_callback_token(other) is not None] == []


def test_a_token_outlives_a_change_of_the_servers_key_while_the_old_one_is_a_fallback(address, settings):
    token = callback_token(address)
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "another-key-of-the-server"

    assert read_callback_token(token) == address
    assert callback_token(address) != token

    settings.SECRET_KEY_FALLBACKS = []
    assert read_callback_token(token) is None


def test_the_installations_address_is_that_of_the_settings(in_tenant, settings):
    settings.PUBLIC_URL = "https://api.example.org"

    url = callback_url_of(choose_account("clickpesa"))

    token = settings.PAYMENT_GATEWAYS["clickpesa"]["CALLBACK_TOKEN"]
    assert url == f"https://api.example.org/api/v1/webhooks/clickpesa/{token}/"
    assert any(route.template == "/api/v1/webhooks/<slug:gateway>/<slug:token>/" for route in all_routes())


def test_a_tenants_callbacks_are_checked_with_its_own_key_and_kept_as_its_own(client, member):
    path = path_of(make_account(member).callback_url)
    with room(member):
        attempt = only_attempt(make_payment(member))
    good, shared = paid_at("CHKown", attempt.reference), paid_at("demo-checksum-key", attempt.reference)

    assert refusal_of(client.post(path, shared, content_type="application/json")) == (401, "webhook_rejected")
    assert client.post(path, good, content_type="application/json").status_code == 200

    row = InboxDelivery.objects.get()
    assert (row.account_id, row.tenant_id) == (attempt.account_id, member.tenant_id)


def test_an_account_that_is_off_or_given_up_still_hears(client, member, member_client):
    path = path_of(make_account(member).callback_url)
    with room(member):
        first, second = only_attempt(make_payment(member)), only_attempt(make_payment(member))

    put(member_client, {"is_enabled": False})
    answers = [client.post(path, paid_at("CHKown", first.reference), content_type="application/json").status_code]
    member_client.delete(ACCOUNT)
    answers += [client.post(path, paid_at("CHKown", second.reference), content_type="application/json").status_code]

    assert answers == [200, 200]


def test_an_address_that_was_rotated_away_is_not_found(client, member, member_client):
    before = make_account(member).callback_url

    after = member_client.post(ROTATE).json()["data"]["callback_url"]

    assert after != before
    body = paid_at("CHKown", "R")
    assert client.post(path_of(before), body, content_type="application/json").status_code == 404
    assert client.post(path_of(after), body, content_type="application/json").status_code == 200


def test_one_gateways_token_opens_no_other_gateway(client, member):
    token = make_account(member).callback_url.split("/")[-2]

    with scripted_gateway():
        response = client.post(f"/api/v1/webhooks/scripted/{token}/", b"{}", content_type="application/json")

    assert response.status_code == 404


# --- manage.py gateways ----------------------------------------------------------------------------------------------


class Probed(ScriptedGateway):
    """An account that is in order only with the right key."""

    credentials = (Credential("key"),)

    def __init__(self, *, key: str) -> None:
        super().__init__()
        self.key = key

    def probe(self) -> None:
        if self.key == "refused":
            raise GatewayRefused("credentials", "no such key: refused")
        if self.key == "away":
            raise GatewayUnavailable


@pytest.fixture
def probed(settings):
    def install(key: str) -> None:
        settings.PAYMENT_GATEWAYS = {
            "probed": {
                "BACKEND": f"{__name__}.Probed",
                "OPTIONS": {},
                "CREDENTIALS": {"key": key},
                "CALLBACK_TOKEN": "t" * 22,
            }
        }

    return install


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("gateways", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_lists_what_there_is(member):
    make_account(member)

    told = run("list")

    assert "clickpesa" in told
    assert "shared" in told
    assert str(member.tenant_id) in told
    assert "SKown" not in told


def test_the_check_asks_every_account_once_and_says_which_work(member, probed):
    probed("good")
    make_account(member, "probed", key="also good")

    told = run("check")

    assert told.count("ok") == 2


@pytest.mark.parametrize(("key", "said"), [("refused", "refused: credentials"), ("away", "no answer")])
def test_the_check_fails_when_an_account_does_not_work_and_says_which(member, probed, key, said):
    probed("good")
    make_account(member, "probed", key=key)
    out = StringIO()

    with pytest.raises(CommandError) as failure:
        call_command("gateways", "check", stdout=out)

    assert failure.value.returncode == 1
    assert "ok" in out.getvalue()
    assert said in out.getvalue()


def test_resealing_moves_every_tenants_credentials_under_the_newest_key(member, stranger, settings):
    make_account(member)
    make_account(stranger)
    settings.ENCRYPTION_KEYS = ["the-new-key-of-this-installation"]

    assert "2 accounts" in run("reseal")

    settings.SECRET_KEY = "another-secret-key-so-that-only-the-new-one-opens"
    for each in (member, stranger):
        with room(each):
            assert choose_account("clickpesa").id is not None


def test_saving_in_a_race_makes_one_account(in_tenant: Member):
    for _ in range(2):
        save_account(actor_id=in_tenant.user.pk, gateway="clickpesa", credentials=CREDENTIALS)

    assert GatewayAccount.objects.count() == 1
