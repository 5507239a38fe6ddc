"""Two tenants with two people each. One of them, `theirs`, has a row of every model, and a canary in every text.

Whoever works in the other tenant must never see the canary, nor an id of a row that holds it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from django.apps import apps
from django.db import IntegrityError, models, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from apps.accounts.models import User
from apps.payments.models.payments import Payment
from apps.payments.services.attempts import record_charge
from apps.tenants.models import Membership, Tenant
from core.money import Money
from core.tenancy import TenantModel, tenant_scope, tenant_transaction
from services.payments.base import ChargeResult, ChargeStatus
from tests.factories.accounts import Member, make_member
from tests.factories.payments import make_payout_anywhere, make_refund, only_attempt
from tests.factories.tenants import add_member, make_invitation

CANARY = "zq7kanari"

# Models of ours whose rows are nobody's, and why.
NOBODYS = {
    "payments.GatewayHealth": "how a gateway answers; nothing about anybody's payments",
    "messaging.EmailSuppression": "an address to which mail does not arrive, whoever has it; for staff",
    "messaging.OptOut": "an address that wants no messages, whoever has it; shown to nobody but staff",
    "accounts.SocialFlow": "somebody on their way to a sign-in provider, stored before it is known who",
    "messaging.Usage": "sums of texts and money; whose is in a name that no operation takes or shows",
    "messaging.PrefixHour": "how many codes went to numbers that begin alike, whoever asked",
    "messaging.PrefixPause": "which beginnings of numbers get no codes, for staff",
    "messaging.EarlyReport": "a provider's word about a text of which it is not known yet whose it is",
}
# Models whose rows the database lets nobody change: a row with canaries is inserted.
APPEND_ONLY = {"payments.Observation", "payments.PaymentEvent", "payments.LedgerLine", "messaging.TemplateVersion"}
# Rows are of one subject: one row is made for each of these ways to leave columns empty.
LEFT_EMPTY: dict[str, list[set[str]]] = {
    "payments.Observation": [{"refund_id", "payout_id"}],
    "payments.PaymentEvent": [{"payout_id"}],
    "payments.LedgerLine": [{"payout_id"}],
}

_numbers = count(1)


@dataclass
class World:
    """`ours` asks, `theirs` is what must not be seen. `colleague`s are plain members.

    `is_thorough`: the sweep asks everything of everybody, one thing at a time.
    """

    ours: Member
    colleague: Member
    theirs: Member
    their_colleague: Member
    is_thorough: bool = False
    row_ids: dict[str, str] = field(default_factory=dict)  # by the name of the path parameter
    ids: set[str] = field(default_factory=set)
    before: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)

    def words(self) -> list[bytes]:
        """What must show in no answer to `ours`: the canary, and each id of theirs in both spellings."""
        spelt = {each for id_ in self.ids for each in (id_, id_.replace("-", ""))}
        return [CANARY.encode(), *(each.encode() for each in spelt)]

    def leaks_in(self, answer: bytes, *sent: str) -> list[str]:
        """Words of theirs in `answer`, other than those that the request itself contained."""
        for each in sent:
            answer = answer.replace(each.encode(), b"")
        return [word.decode() for word in self.words() if word in answer]

    def has_changed(self) -> bool:
        """Whether anything of theirs is not as it was made."""
        return self.their_rows() != self.before

    def their_rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """Everything that is stored of theirs."""
        with self._in_their_room():
            return {
                model._meta.label: list(rows_of(model, self.theirs.tenant_id).order_by("pk").values_list())
                for model in watched_models()
            }

    @contextmanager
    def _in_their_room(self) -> Iterator[None]:
        with tenant_scope(self.theirs.tenant_id), tenant_transaction():
            yield


def watched_models() -> list[type[models.Model]]:
    """Models whose rows belong to a tenant or a person."""
    return [model for model in apps.get_models() if _links(model) or model in {User, Tenant}]


def _links(model: type[models.Model]) -> list[str]:
    """The columns by which a row is some tenant's or, failing that, some person's."""
    fields = model._meta.concrete_fields
    tenants = [each.attname for each in fields if each.attname == "tenant_id"]
    return tenants or [each.attname for each in fields if each.is_relation and each.related_model is User]


def rows_of(model: Any, tenant_id: uuid.UUID) -> QuerySet[Any]:
    """Rows of a tenant, of its members, and the tenant itself. Call in its room."""
    people = Membership.objects.filter(tenant_id=tenant_id).values("user_id")
    manager = model.unscoped if issubclass(model, TenantModel) else model._base_manager
    condition = Q(pk=tenant_id) if model is Tenant else Q(pk__in=people) if model is User else Q()
    for name in _links(model):
        condition |= Q(tenant_id=tenant_id) if name == "tenant_id" else Q(**{f"{name}__in": people})
    found: QuerySet[Any] = manager.filter(condition)
    return found


def make_world(makers: dict[str, Callable[[Member], uuid.UUID]]) -> World:
    """Both tenants; `makers` make the rows that path parameters name."""
    ours, theirs = make_member(), make_member()
    world = World(ours, add_member(ours), theirs, add_member(theirs))
    world.row_ids = {name: str(make(theirs)) for name, make in makers.items()}
    _give_a_payment_some_history(theirs, world.row_ids["payment_id"])
    make_payout_anywhere(theirs, phone="", bank={"bank": "CORUTZTZ", "number": "0150123456789", "name": "Asha"})
    make_invitation(theirs, phone="+255712345678")
    with world._in_their_room():
        for model in watched_models():
            if model._meta.app_config.name.startswith("apps."):
                _plant(model, world)
        for model in watched_models():
            ids = rows_of(model, theirs.tenant_id).values_list("pk", flat=True)
            world.ids |= {str(each) for each in ids if isinstance(each, uuid.UUID)}
    world.before = world.their_rows()
    return world


def _give_a_payment_some_history(member: Member, payment_id: str) -> None:
    """Settle it, and send the money back."""
    with tenant_scope(member.tenant_id), tenant_transaction():
        payment = Payment.objects.get(pk=payment_id)
        attempt = only_attempt(payment)
    paid = ChargeResult(status=ChargeStatus.PAID, provider_reference="P1", money=Money(500_000, "TZS"))
    with tenant_scope(member.tenant_id):
        record_charge(attempt_id=attempt.pk, source="webhook", result=paid)
    make_refund(member, payment)


def _plant(model: type[models.Model], world: World) -> None:
    """Canaries into every text of their rows; a row of canaries where there is none, or none that may be changed."""
    rows = list(rows_of(model, world.theirs.tenant_id))
    if not rows or model._meta.label in APPEND_ONLY:
        for left_empty in LEFT_EMPTY.get(model._meta.label, [set()]):
            build(model, world, left_empty).save(force_insert=True)
    if model._meta.label in APPEND_ONLY:
        return
    for row in rows:
        same = rows_of(model, world.theirs.tenant_id).filter(pk=row.pk)
        for column in model._meta.concrete_fields:
            # Some texts exclude each other; that each column has its canary in some row is tested.
            with suppress(IntegrityError), transaction.atomic():
                if is_text(column):
                    same.update(**{column.attname: canary_for(column)})


def is_text(column: Any) -> bool:
    """Whether a canary fits: free text, or JSON."""
    if isinstance(column, models.JSONField):
        return True
    is_free = isinstance(column, models.CharField | models.TextField) and not column.choices and not column.primary_key
    return is_free and (column.max_length or 1_000) >= len(CANARY) + 6


def canary_for(column: Any) -> Any:
    """A canary that is different each time, because some texts are unique."""
    if isinstance(column, models.JSONField):
        return [CANARY] if column.default is list else {"canary": CANARY}
    text = f"{CANARY}{next(_numbers)}"
    return f"{text}@example.com" if isinstance(column, models.EmailField) else text


def build(model: Any, world: World, left_empty: Container[str] = ()) -> Any:
    """A row of theirs, made from the model alone. Where that fails, give the model a factory and a maker."""
    row = model()
    for column in model._meta.concrete_fields:
        if column.primary_key or column.attname == "tenant_id" or column.attname in left_empty:
            continue
        if column.is_relation:
            known = rows_of(column.related_model, world.theirs.tenant_id).first()
            if known is None and not column.null:
                known = build(column.related_model, world)
                known.save(force_insert=True)
            setattr(row, column.attname, known.pk if known is not None else None)
        elif is_text(column):
            setattr(row, column.attname, canary_for(column))
        elif column.attname == "currency":
            setattr(row, column.attname, "TZS")
        elif column.choices:
            setattr(row, column.attname, column.choices[0][0])
        elif column.has_default() or column.null:
            continue
        elif isinstance(column, models.UUIDField):
            setattr(row, column.attname, uuid.uuid4())
        elif isinstance(column, models.IntegerField):
            setattr(row, column.attname, next(_numbers) + 1_000)
        elif isinstance(column, models.DateTimeField):
            setattr(row, column.attname, timezone.now())
        elif isinstance(column, models.DateField):
            setattr(row, column.attname, timezone.now().date())
        elif isinstance(column, models.BinaryField):
            setattr(row, column.attname, CANARY.encode())
    if any(column.attname == "tenant_id" for column in model._meta.concrete_fields):
        row.tenant_id = world.theirs.tenant_id
    return row


def texts_without_canary(world: World) -> list[str]:
    """Columns of text in which no row of theirs holds the canary."""
    missing = []
    with world._in_their_room():
        for model in apps.get_models():
            if not model._meta.app_config.name.startswith("apps.") or model._meta.label in NOBODYS:
                continue
            if model not in watched_models():
                missing.append(f"{model._meta.label} is nobody's, and NOBODYS does not say why")
                continue
            rows = list(rows_of(model, world.theirs.tenant_id))
            for column in model._meta.concrete_fields:
                if is_text(column) and not any(CANARY in str(getattr(row, column.attname)) for row in rows):
                    missing.append(f"{model._meta.label}.{column.name}")
    return missing


@contextmanager
def undone() -> Iterator[None]:
    """Whatever happens inside has not happened afterwards.

    Marked as Django marks the transactions of its test cases: code that must not run inside one may run here.
    """
    block = transaction.atomic()
    block._from_testcase = True  # type: ignore[attr-defined]
    with block:
        yield
        transaction.set_rollback(True)
