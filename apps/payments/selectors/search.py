"""Finding a payment by whatever somebody knows of it, over every tenant. For the platform's staff."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings
from django.db.models import Q, QuerySet

from apps.payments.models.accounts import GatewayReference
from apps.payments.models.payments import Attempt, Payment
from apps.payments.models.transfers import Refund
from apps.payments.references import is_well_formed
from core.phones import to_e164
from core.tenancy import rows_of_every_tenant

MAX_TERM = 200


def search_payments(payments: QuerySet[Payment], text: str) -> QuerySet[Payment]:
    """Those of `payments` that `text` is about: an id, a phone number however it is spelled, a reference of the
    merchant, of ours or of the gateway, or a part of any of them, or of the tenant's name.

    What names one row is found by an index; only the rest reads the tables.
    """
    text = text.strip()[:MAX_TERM]
    if not text:
        return payments
    found = _by_id(text) or _by_our_reference(text) or _by_phone(text) or _by_part(text)
    return payments.filter(found)


def spelled(text: str) -> str:
    """`text`, or the phone number that it is, in the spelling in which numbers are stored."""
    text = text.strip()
    try:
        return to_e164(text) if text[:1] in {"0", "+", "2"} else text
    except ValueError:
        return text


def _by_id(text: str) -> Q | None:
    try:
        row = UUID(text)
    except ValueError:
        return None
    attempts = rows_of_every_tenant(Attempt).filter(pk=row).values("payment_id")
    refunds = rows_of_every_tenant(Refund).filter(pk=row).values("payment_id")
    return Q(pk=row) | Q(pk__in=attempts) | Q(pk__in=refunds) | Q(tenant_id=row)


def _by_our_reference(text: str) -> Q | None:
    reference = text.upper()
    if not is_well_formed(reference):
        return None
    known = GatewayReference.objects.filter(gateway__in=settings.PAYMENT_GATEWAYS, reference=reference)
    subjects = list(known.values_list("subject_id", flat=True))
    if not subjects:
        return None
    attempts = rows_of_every_tenant(Attempt).filter(pk__in=subjects).values("payment_id")
    refunds = rows_of_every_tenant(Refund).filter(pk__in=subjects).values("payment_id")
    return Q(pk__in=attempts) | Q(pk__in=refunds)


def _by_phone(text: str) -> Q | None:
    number = spelled(text)
    if not number.startswith("+"):
        return None
    attempts = rows_of_every_tenant(Attempt).filter(phone=number).values("payment_id")
    return Q(phone=number) | Q(pk__in=attempts)


def _by_part(text: str) -> Q:
    named = Q(reference__icontains=text) | Q(provider_reference__icontains=text)
    attempts = rows_of_every_tenant(Attempt).filter(named).values("payment_id")
    refunds = rows_of_every_tenant(Refund).filter(named).values("payment_id")
    own = Q(phone__contains=text) | Q(client_reference__icontains=text) | Q(tenant__name__icontains=text)
    return own | Q(pk__in=attempts) | Q(pk__in=refunds)
