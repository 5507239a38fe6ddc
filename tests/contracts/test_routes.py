"""Whatever is asked of whichever route, the answer is the envelope. The routes are read from the configuration."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count, product
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone
from drf_spectacular.generators import SchemaGenerator
from rest_framework.test import APIClient

from apps.accounts.methods import Method
from apps.accounts.models import EmailLink, VerificationCode
from apps.accounts.services.codes import code_of
from apps.accounts.services.links import token_of
from apps.accounts.services.sessions import open_session
from apps.accounts.services.sign_in import MfaRequired, begin_sign_in
from apps.messaging.services.consent import unsubscribe_token
from services.payments.providers.clickpesa_checksum import canonical_checksum
from tests.contracts.routes import ADMIN, METHODS, Route, all_routes, namespaces
from tests.envelope import faults_in, refusal_of
from tests.factories.accounts import (
    PASSWORD,
    Member,
    fresh_phone,
    make_member,
    signed_in_again,
    with_proven_phone,
)
from tests.factories.factors import phone_being_set_up, with_second_factor, with_second_factor_still_signed_in
from tests.factories.messages import a_wish_to_send, make_message
from tests.factories.notifications import make_notification
from tests.factories.payments import (
    a_wish_to_pay,
    a_wish_to_pay_out,
    make_account,
    make_failed_payment,
    make_payment,
    make_payment_in_review,
    make_payout_anywhere,
    make_refund,
    make_settled_payment,
    with_known_balance,
)
from tests.factories.social import CHALLENGE, VERIFIER, make_code, make_id_token, make_linked_account
from tests.factories.tenants import add_member, make_api_key, make_invitation, membership_of, tokens_sent
from tests.figures import Figure
from tests.services.wire import delivery_body, load

ROUTES = all_routes()
TOKENS = {"clickpesa": "demo-clickpesa-callback-token", "beem": "demo-beem-callback-token"}
UNKNOWN_VERBS = ("FOO", "PROPFIND")
CANARY = "canary of another tenant"

# Successes that are not the envelope, and why.
OTHER_SUCCESSES = {
    "DeliveryReportView": "has beside the envelope what the provider wants to hear",
    "JwksView": "a JWK Set (RFC 7517), which libraries read as it is",
    "SchemaView": "an OpenAPI document is its own format",
    "SwaggerView": "a page for people",
    "RedocView": "a page for people",
    "SocialCallbackView": "sends a browser on to the application",
    "SocialStartView": "sends a browser that opens it on to the provider",
}
# Routes that the schema does not list, and why.
UNDOCUMENTED = {
    "JwksView": "a document of a standard, which describes itself",
    "SchemaView": "the schema does not describe where it stands",
    "SwaggerView": "a page for people",
    "RedocView": "a page for people",
}
# Path parameters that name no row, and why.
NOT_ROWS = {
    "gateway": "the name of a provider in the settings",
    "provider": "the name of a sign-in provider in the settings",
    "token": "a secret of this installation in the settings, or the proof of an unsubscribe link",
    "key": "the name of a wording in the catalogue",
}
# How to make the row that a path parameter names, in the member's tenant.
ROWS: dict[str, Callable[[Member], uuid.UUID]] = {
    "payment_id": lambda member: make_payment(member, description=CANARY).pk,
    "refund_id": lambda member: make_refund(member, reason=CANARY).pk,
    "payout_id": lambda member: make_payout_anywhere(member, narration=CANARY).pk,
    "notification_id": lambda member: make_notification(member, title=CANARY).pk,
    "message_id": lambda member: make_message(member, text=CANARY).pk,
    "session_id": lambda member: open_session(user=member.user, transport="body", user_agent=CANARY)[0].session.pk,
    "invitation_id": lambda member: make_invitation(member).pk,
    "key_id": lambda member: make_api_key(member, name=CANARY)[0].pk,
    "account_id": lambda member: make_linked_account(member, email=CANARY).id,
    "user_id": lambda member: add_member(member, first_name=CANARY).user.pk,
    "member_id": lambda member: membership_of(add_member(member, first_name=CANARY)).pk,
}

_numbers = count(1)


@dataclass(frozen=True)
class Right:
    """What makes a method of a view succeed. `values` fill the path."""

    body: Callable[[Member], Any] | None = None
    headers: Callable[[], dict[str, str]] = dict
    values: Callable[[Member], dict[str, str]] = field(default=lambda _member: {})
    query: str = ""


def a_link(member: Member, purpose: str) -> str:
    """The token of a link that has just been mailed to `member`."""
    expires_at = timezone.now() + timedelta(hours=1)
    return token_of(
        EmailLink.objects.create(user=member.user, purpose=purpose, email=member.user.email, expires_at=expires_at)
    )


def a_phone_code(member: Member, purpose: str) -> dict[str, str]:
    """The right answer to a challenge for `member`'s number."""
    code = VerificationCode.objects.create(
        user=None if purpose == VerificationCode.Purpose.LOGIN else member.user,
        purpose=purpose,
        phone=member.user.phone,
        expires_at=timezone.now() + timedelta(minutes=1),
    )
    return {"challenge": str(code.pk), "code": code_of(code)}


def row(member: Member, name: str) -> dict[str, str]:
    """The path parameter `name` with a row of the member's tenant behind it."""
    return {name: str(ROWS[name](member))}


def accepting(host: Member) -> dict[str, str]:
    """The body that accepts an invitation to `host`'s tenant."""
    make_invitation(host)
    return {"token": tokens_sent(host)[-1]}


def at_google(_member: Member) -> dict[str, str]:
    return {"provider": "google"}


def at_clickpesa(member: Member) -> dict[str, str]:
    """The path of an account that the member's tenant has."""
    make_account(member)
    return {"gateway": "clickpesa"}


def a_social_code() -> dict[str, str]:
    """The body with which a client hands in the code of a person who has come back."""
    return {"code": make_code(email=f"swept{next(_numbers)}@example.com"), "code_verifier": VERIFIER}


def cookie_of_a_browser() -> dict[str, str]:
    """The header with which a browser that keeps all tokens in cookies asks an auth endpoint."""
    _principal, tokens = open_session(user=make_member().user, transport="cookies")
    return {"HTTP_COOKIE": f"refresh={tokens.refresh}"}


def a_new_key() -> dict[str, str]:
    """The header that names a request which moves money."""
    return {"HTTP_IDEMPOTENCY_KEY": uuid.uuid4().hex}


def answering(person: Member) -> dict[str, str]:
    """The body that finishes a sign-in of `person`."""
    phone = with_second_factor(person)[1]
    refusal = begin_sign_in(user=person.user, transport="body", method=Method.PASSWORD)
    assert isinstance(refusal, MfaRequired)
    return {"challenge": refusal.data["challenge"], "code": phone.code()}


def signed(news: dict[str, Any]) -> dict[str, Any]:
    """A ClickPesa callback that this installation believes."""
    key = settings.PAYMENT_GATEWAYS["clickpesa"]["CREDENTIALS"]["checksum_key"]
    return {**news, "checksum": canonical_checksum(news, key)}


RIGHT = {
    ("RegisterView", "POST"): Right(
        body=lambda _: {"email": f"swept{next(_numbers)}@example.com", "password": PASSWORD}
    ),
    ("LoginView", "POST"): Right(body=lambda member: {"email": member.user.email, "password": PASSWORD}),
    ("RefreshView", "POST"): Right(body=lambda _: {"refresh": make_member().tokens.refresh}),
    ("CsrfView", "GET"): Right(headers=cookie_of_a_browser),
    ("LogoutView", "POST"): Right(body=lambda _: {"refresh": make_member().tokens.refresh}),
    ("LogoutAllView", "POST"): Right(),
    ("SessionListView", "GET"): Right(),
    ("SessionDetailView", "DELETE"): Right(values=lambda member: {"session_id": str(ROWS["session_id"](member))}),
    ("MeView", "GET"): Right(),
    ("MeView", "PATCH"): Right(body=lambda _: {"first_name": "Neema"}),
    ("UpdateProfileView", "PUT"): Right(body=lambda _: {"first_name": "Neema"}),
    ("UpdateProfileView", "PATCH"): Right(body=lambda _: {"last_name": "Juma"}),
    ("ChangePasswordView", "POST"): Right(
        body=lambda _: {"current_password": PASSWORD, "new_password": "chai-na-kahawa-8"}
    ),
    ("UserListView", "GET"): Right(),
    ("UserListView", "POST"): Right(
        body=lambda _: {"email": f"swept{next(_numbers)}@example.com", "password": PASSWORD}
    ),
    ("OwnUserView", "GET"): Right(),
    ("UserDetailView", "GET"): Right(values=lambda member: row(member, "user_id")),
    ("UserDetailView", "PUT"): Right(
        body=lambda _: {"first_name": "Neema"}, values=lambda member: row(member, "user_id")
    ),
    ("UserDetailView", "PATCH"): Right(body=lambda _: {"role": "admin"}, values=lambda member: row(member, "user_id")),
    ("UserDetailView", "DELETE"): Right(values=lambda member: row(member, "user_id")),
    ("DeleteAccountView", "POST"): Right(body=lambda member: add_member(member, "owner") and {}),
    ("RestoreAccountView", "POST"): Right(body=lambda member: {"email": member.user.email, "password": PASSWORD}),
    ("ExportView", "GET"): Right(),
    ("ReauthenticateView", "POST"): Right(body=lambda _: {"password": PASSWORD}),
    ("FactorsView", "GET"): Right(),
    ("TotpView", "POST"): Right(),
    ("TotpView", "DELETE"): Right(body=lambda member: with_second_factor_still_signed_in(member) and b""),
    ("ConfirmTotpView", "POST"): Right(body=lambda member: {"code": phone_being_set_up(member).code()}),
    ("RecoveryCodesView", "POST"): Right(body=lambda member: with_second_factor_still_signed_in(member) and b""),
    ("VerifyView", "POST"): Right(body=lambda _: answering(make_member())),
    ("ResetPasswordView", "POST"): Right(body=lambda member: {"email": member.user.email}),
    ("ConfirmResetView", "POST"): Right(
        body=lambda member: {"token": a_link(member, EmailLink.Purpose.RESET_PASSWORD), "password": "chai-na-kahawa-8"}
    ),
    ("VerifyEmailView", "POST"): Right(body=lambda member: {"token": a_link(member, EmailLink.Purpose.VERIFY_EMAIL)}),
    ("ResendVerificationView", "POST"): Right(),
    ("ChangeEmailView", "POST"): Right(
        body=lambda _: {"email": f"moved{next(_numbers)}@example.com", "password": PASSWORD}
    ),
    ("RequestOtpView", "POST"): Right(body=lambda _: {"phone": fresh_phone()}),
    ("VerifyOtpView", "POST"): Right(body=lambda member: a_phone_code(with_proven_phone(member), "login")),
    ("VerifyPhoneView", "POST"): Right(body=lambda member: with_proven_phone(member) and {}),
    ("ConfirmPhoneView", "POST"): Right(body=lambda member: a_phone_code(with_proven_phone(member), "verify_phone")),
    ("ChangePhoneView", "POST"): Right(body=lambda _: {"phone": fresh_phone(), "password": PASSWORD}),
    ("ConfirmPhoneChangeView", "POST"): Right(
        body=lambda member: a_phone_code(with_proven_phone(member), "change_phone")
    ),
    ("SocialProviderListView", "GET"): Right(),
    ("SocialStartView", "GET"): Right(values=at_google, query=f"?code_challenge={CHALLENGE}"),
    ("SocialStartView", "POST"): Right(values=at_google, body=lambda _: {"code_challenge": CHALLENGE}),
    ("SocialCallbackView", "GET"): Right(values=at_google),
    ("SocialExchangeView", "POST"): Right(body=lambda _: a_social_code()),
    ("SocialTokenView", "POST"): Right(values=at_google, body=lambda _: {"id_token": make_id_token()}),
    ("LinkedAccountListView", "GET"): Right(),
    ("LinkedAccountListView", "POST"): Right(body=lambda _: a_social_code()),
    ("LinkedAccountDetailView", "DELETE"): Right(values=lambda member: row(member, "account_id")),
    ("SwitchTenantView", "POST"): Right(body=lambda member: {"tenant": str(member.tenant_id)}),
    ("TenantListView", "GET"): Right(),
    ("TenantListView", "POST"): Right(body=lambda _: {"name": "Duka"}),
    ("CurrentTenantView", "GET"): Right(),
    ("CurrentTenantView", "PATCH"): Right(body=lambda _: {"name": "Duka"}),
    ("AuditListView", "GET"): Right(),
    ("MemberListView", "GET"): Right(),
    ("MemberDetailView", "PATCH"): Right(
        body=lambda _: {"role": "admin"}, values=lambda member: row(member, "member_id")
    ),
    ("MemberDetailView", "DELETE"): Right(values=lambda member: row(member, "member_id")),
    ("ApiKeyListView", "GET"): Right(),
    ("ApiKeyListView", "POST"): Right(body=lambda _: {"name": "Zapier", "scopes": ["payments:read"]}),
    ("ApiKeyDetailView", "DELETE"): Right(values=lambda member: row(member, "key_id")),
    ("InvitationListView", "GET"): Right(),
    ("InvitationListView", "POST"): Right(body=lambda _: {"email": f"swept{next(_numbers)}@example.com"}),
    ("InvitationDetailView", "DELETE"): Right(values=lambda member: row(member, "invitation_id")),
    ("InvitationResendView", "POST"): Right(values=lambda member: row(member, "invitation_id")),
    ("InvitationAcceptView", "POST"): Right(body=lambda _: accepting(make_member())),
    ("LeaveView", "POST"): Right(body=lambda member: add_member(member, "owner") and {}),
    ("TransferOwnershipView", "POST"): Right(body=lambda member: {"member": row(member, "member_id")["member_id"]}),
    ("PaymentListView", "GET"): Right(),
    ("PaymentListView", "POST"): Right(body=lambda _: a_wish_to_pay(), headers=a_new_key),
    ("GatewayListView", "GET"): Right(),
    ("GatewayAccountView", "GET"): Right(values=at_clickpesa),
    ("GatewayAccountView", "PUT"): Right(
        body=lambda _: {"credentials": {"client_id": "ID1", "api_key": "SK1"}},
        values=lambda _: {"gateway": "clickpesa"},
    ),
    ("GatewayAccountView", "DELETE"): Right(values=at_clickpesa),
    ("RotateCallbackView", "POST"): Right(values=at_clickpesa),
    ("PaymentDetailView", "GET"): Right(values=lambda member: {"payment_id": str(ROWS["payment_id"](member))}),
    ("PaymentCancelView", "POST"): Right(headers=a_new_key, values=lambda member: row(member, "payment_id")),
    ("PaymentRetryView", "POST"): Right(
        headers=a_new_key, values=lambda member: {"payment_id": str(make_failed_payment(member).pk)}
    ),
    ("PaymentReviewView", "POST"): Right(
        body=lambda _: {"decision": "accept", "note": "Seen on the statement."},
        headers=a_new_key,
        values=lambda member: {"payment_id": str(make_payment_in_review(member).pk)},
    ),
    ("PaymentRefundListView", "GET"): Right(values=lambda member: row(member, "payment_id")),
    ("PaymentRefundListView", "POST"): Right(
        body=lambda _: {"amount": {"amount": 100_000, "currency": "TZS"}},
        values=lambda member: {"payment_id": str(make_settled_payment(member).pk)},
        headers=lambda: {"HTTP_IDEMPOTENCY_KEY": uuid.uuid4().hex},
    ),
    ("RefundListView", "GET"): Right(),
    ("RefundDetailView", "GET"): Right(values=lambda member: row(member, "refund_id")),
    ("RefundCompleteView", "POST"): Right(
        body=lambda _: {"evidence": "M-Pesa QK27X8Y1"}, values=lambda member: row(member, "refund_id")
    ),
    ("RefundRejectView", "POST"): Right(
        body=lambda _: {"evidence": "Kept."}, values=lambda member: row(member, "refund_id")
    ),
    ("PayoutListView", "GET"): Right(),
    ("PayoutListView", "POST"): Right(
        body=lambda _: a_wish_to_pay_out(), headers=lambda: {"HTTP_IDEMPOTENCY_KEY": uuid.uuid4().hex}
    ),
    ("PayoutDetailView", "GET"): Right(values=lambda member: row(member, "payout_id")),
    ("LedgerView", "GET"): Right(),
    ("TotalsView", "GET"): Right(),
    ("BalanceView", "GET"): Right(values=lambda member: with_known_balance(member)),
    ("GatewayCallbackView", "POST"): Right(
        body=lambda _: signed(load("clickpesa", "webhook_paid")["json"]),
        values=lambda _: {"gateway": "clickpesa", "token": TOKENS["clickpesa"]},
    ),
    ("DeliveryReportView", "POST"): Right(
        body=lambda _: delivery_body(load("beem", "pushed_report_delivered")),
        values=lambda _: {"gateway": "beem", "token": TOKENS["beem"]},
    ),
    ("MessageListView", "GET"): Right(),
    ("MessageListView", "POST"): Right(body=lambda _: a_wish_to_send(), headers=a_new_key),
    ("MessageBatchView", "POST"): Right(body=lambda _: a_wish_to_send(to=["+255754000111", "0712345678"])),
    ("MessagePriceView", "POST"): Right(body=lambda _: {"to": ["+255754000111"], "text": "Half price today."}),
    ("MessageDetailView", "GET"): Right(values=lambda member: row(member, "message_id")),
    ("SpendView", "GET"): Right(),
    ("TemplateListView", "GET"): Right(),
    ("TemplateDetailView", "GET"): Right(values=lambda _: {"key": "receipt"}),
    ("TemplatePreviewView", "POST"): Right(
        body=lambda _: {"language": "sw", "values": {"amount": "TZS 12,000"}}, values=lambda _: {"key": "receipt"}
    ),
    ("PreferencesView", "GET"): Right(),
    ("PreferencesView", "PUT"): Right(body=lambda _: {"kinds": {"marketing": {"sms": False}}}),
    ("PreferencesView", "PATCH"): Right(body=lambda _: {"kinds": {"service": {"email": False}}}),
    ("UnsubscribeView", "GET"): Right(values=lambda member: {"token": unsubscribe_token(to=member.user.email)}),
    ("UnsubscribeView", "POST"): Right(values=lambda member: {"token": unsubscribe_token(to=member.user.email)}),
    ("NotificationListView", "GET"): Right(),
    ("UnreadCountView", "GET"): Right(),
    ("NotificationReadAllView", "POST"): Right(body=lambda _: {}),
    ("NotificationDetailView", "GET"): Right(values=lambda member: row(member, "notification_id")),
    ("NotificationDetailView", "DELETE"): Right(values=lambda member: row(member, "notification_id")),
    ("NotificationReadView", "POST"): Right(values=lambda member: row(member, "notification_id")),
    ("EmailReportView", "POST"): Right(
        body=lambda _: {"id": "1", "eventType": "x", "topic": "t", "eventTime": "", "data": {}},
        values=lambda _: {"provider": "azure", "token": "demo-azure-email-callback-token"},
    ),
    ("RootView", "GET"): Right(),
    ("LiveView", "GET"): Right(),
    ("ReadyView", "GET"): Right(),
    ("JwksView", "GET"): Right(),
    ("SchemaView", "GET"): Right(),
    ("SwaggerView", "GET"): Right(),
    ("RedocView", "GET"): Right(),
}

JUNK: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "application/json"),
    "an open brace": (b"{", "application/json"),
    "an empty object": (b"{}", "application/json"),
    "a list": (b"[1, 2]", "application/json"),
    "null": (b"null", "application/json"),
    "a text": (b'"text"', "application/json"),
    "a number": (b"1e999", "application/json"),
    "bytes that are no UTF-8": (b"\xff\xfe{}", "application/json"),
    "wrong types": (b'{"email": 1, "password": [], "amount": "5", "refresh": {}, "phone": null}', "application/json"),
    "unknown fields": (b'{"is_staff": true, "tenant": "x", "": 1}', "application/json"),
    "plain text": (b"{}", "text/plain"),
    "a form": (b"email=a&password=b", "application/x-www-form-urlencoded"),
    "a broken multipart body": (b"--x\r\n", "multipart/form-data; boundary=x"),
    "XML": (b"<a/>", "application/xml"),
    "no content type": (b"{}", ""),
    "a strange content type": (b"{}", "application/json; charset=\xff; ;=;"),
}


def quiet_client(member: Member | None = None) -> APIClient:
    """A client that shows a 500 instead of raising its cause."""
    client = APIClient(raise_request_exception=False)
    if member is not None:
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {member.tokens.access}")
    return client


def made_up(route: Route) -> dict[str, str]:
    """Values of the right form that name nothing."""
    return {
        name: str(uuid.uuid4()) if converter == "uuid" else "1" if converter == "int" else "made-up"
        for name, converter in route.converters.items()
    }


def ask(client: APIClient, method: str, path: str, body: Any = b"", content_type: str = "application/json", **extra):
    raw: Any = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.generic(method, path, data=raw, content_type=content_type, **extra)


def faults_of(method: str, response: Any) -> list[str]:
    if method != "HEAD":
        return faults_in(response)
    found = [] if "X-Request-ID" in response.headers else ["no X-Request-ID"]
    if response.content:
        found.append("a body after HEAD")
    if response.status_code >= 500:
        found.append(f"status {response.status_code}")
    return found


@pytest.fixture
def clients(member) -> dict[str, APIClient]:
    """One per kind of caller."""
    odd = quiet_client()
    odd.credentials(HTTP_AUTHORIZATION="Bearer not.a.token")
    return {"nobody": quiet_client(), "a member": quiet_client(member), "a bad token": odd}


def addresses_of(view_class: Any) -> list[tuple[str, int]]:
    """Where a view answers: with and without the version, some with and without the last slash."""
    routes = [route for route in ROUTES if route.view_class is view_class]
    return [(route.template, number) for route in routes for number in range(len(route.paths(made_up(route))))]


@pytest.fixture
def share_of(figure: Figure) -> Callable[..., Iterator[tuple[str, Any, Any]]]:
    """What a route is asked: everything by everybody at each of its paths.

    In the quick run the addresses of a view share that, so that the view meets all of it and each address a part.
    """
    is_full = bool(figure(quick=0, full=1))

    def chosen(route: Route, callers: Iterable[Any], asked: Iterable[Any]) -> Iterator[tuple[str, Any, Any]]:
        addresses, both = addresses_of(route.view_class), list(product(enumerate(callers), enumerate(asked)))
        for number, path in enumerate(route.paths(made_up(route))):
            place = addresses.index((route.template, number))
            for (caller_number, caller), (asked_number, each) in both:
                if is_full or (caller_number + asked_number) % len(addresses) == place:
                    yield path, caller, each

    return chosen


@pytest.mark.parametrize("route", ROUTES, ids=str)
def test_the_right_request_succeeds_in_the_envelope(route, member):
    client = quiet_client(member)
    assert route.operations, f"{route}: no method at all"

    for number, method in enumerate(route.operations):
        if number:  # the method before may have ended the session
            client = quiet_client(signed_in_again(member))
        right = RIGHT.get((route.view_name, method))
        assert right is not None, f"Say in RIGHT how {method} {route} succeeds"
        for path in route.paths(made_up(route) | right.values(member)):
            body = right.body(member) if right.body else b""
            response = ask(client, method, path + right.query, body, **right.headers())

            is_sent_on = response.status_code == 302 and route.view_name in OTHER_SUCCESSES
            assert is_sent_on or response.status_code in {200, 201}, (method, path, response.content[:300])
            if route.view_name not in OTHER_SUCCESSES:
                assert faults_in(response) == [], (method, path)
            else:
                assert response.headers["X-Request-ID"]


@pytest.mark.parametrize("route", ROUTES, ids=str)
def test_a_wrong_method_is_refused_in_the_envelope(route, clients, share_of):
    wrong = [*(method for method in METHODS if method not in route.methods), *UNKNOWN_VERBS]
    faults = []

    for path, (caller, client), method in share_of(route, clients.items(), wrong):
        response = ask(client, method, path, b"{}")
        found = faults_of(method, response)
        if response.status_code not in {401, 405}:
            found.append(f"answered {response.status_code}")
        if caller == "a member" and response.status_code != 405:
            found.append(f"a member was answered {response.status_code}")
        faults += [(caller, method, path, fault) for fault in found]

    assert faults == []


@pytest.mark.parametrize("route", ROUTES, ids=str)
def test_junk_is_answered_in_the_envelope(route, clients, share_of):
    """Every method that exists, with every kind of junk, for ids that name nothing, by anybody."""
    faults = []

    for path, (caller, client), (method, (name, junk)) in share_of(route, clients.items(), _with_junk(route)):
        response = ask(client, method, path, *junk)
        if response.status_code < 400 and route.view_name in OTHER_SUCCESSES:
            continue
        faults += [(caller, method, path, name, fault) for fault in faults_of(method, response)]

    assert faults == []


def _with_junk(route: Route) -> Iterator[tuple[str, tuple[str, tuple[bytes, str]]]]:
    for method in sorted(route.methods):
        # Methods that read no body meet one junk body each, so that a page is not built sixteen times.
        chosen = list(JUNK.items()) if method in {"POST", "PUT", "PATCH", "DELETE"} else [("a list", JUNK["a list"])]
        for each in chosen:
            yield method, each


@pytest.mark.parametrize("route", ROUTES, ids=str)
def test_without_a_token_only_public_routes_do_anything(route, member):
    """401 with a challenge, or a view that says itself that anybody may come."""
    is_all_public = route.view_class.authentication_classes == () or route.view_name in OTHER_SUCCESSES

    for method in route.operations:
        is_public = is_all_public or method in getattr(route.view_class, "public_methods", ())
        for path in route.paths(made_up(route)):
            response = ask(quiet_client(), method, path, b"{}")
            if is_public:
                assert response.status_code != 401 or response.json()["code"] != "token_invalid"
            else:
                assert refusal_of(response) == (401, "not_authenticated")
                assert response.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/api/v1/",
        "/api/v1/nothing/",
        "/api/v2/payments/",
        "/api/v1/payments",
        "/api/v1/payments/not-a-uuid/",
        "/api/v1/payments/%D9%A1/",
        "/api/v1/../v1/payments//",
        "/static/nothing.css",
        "/static/../manage.py",
        "/static/%2e%2e/%2e%2e/manage.py",
        "/.env",
        "/%ff%fe/",
        "/" + "a" * 8000,
    ],
    ids=lambda path: path[:40],
)
def test_an_unknown_address_is_not_found_in_the_envelope(db, path):
    for method in (*METHODS, *UNKNOWN_VERBS):
        response = ask(quiet_client(), method, path, b"{}")
        assert response.status_code == 404, method
        assert faults_of(method, response) == [], method


def test_an_unversioned_route_is_its_newest_version():
    versioned = {route.template.removeprefix("/api/v1/"): route.view_class for route in ROUTES if "/v1/" in str(route)}
    plain = {
        route.template.removeprefix("/api/"): route.view_class
        for route in ROUTES
        if route.template.startswith("/api/") and "/v1/" not in route.template
    }

    assert versioned
    assert plain == versioned


def test_the_sweep_covers_every_route(capsys):
    with capsys.disabled():
        sys.stdout.write(f"\n{len(ROUTES)} routes swept; left out: admin ({ADMIN})\n")

    assert namespaces() == ["admin"]
    assert len(ROUTES) >= 25
    assert len({route.template for route in ROUTES}) == len(ROUTES)
    assert {route.view_name for route in ROUTES} == {name for name, _ in RIGHT}, "RIGHT names views that are gone"
    assert set(OTHER_SUCCESSES) <= {route.view_name for route in ROUTES}


def test_the_admin_carries_request_ids_and_keeps_its_pages(db):
    response = quiet_client().get("/admin/")

    assert response.status_code == 302
    assert response.headers["X-Request-ID"]


def test_the_schema_lists_exactly_the_routes():
    schema = SchemaGenerator().get_schema(request=None, public=True)
    documented = {(method.upper(), path) for path, methods in schema["paths"].items() for method in methods}

    routed = {
        (method, route.documented_path)
        for route in ROUTES
        for method in route.operations
        # An unversioned route is the versioned one again (see above), documented once.
        if route.view_name not in UNDOCUMENTED and (not route.template.startswith("/api/") or "/v1/" in route.template)
    }

    assert len(routed) > 10
    assert documented == routed
