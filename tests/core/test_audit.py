"""Audit lines: written with the deed, never changed, without secrets."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.services.sessions import log_out_everywhere
from core import context
from core.audit.actions import Action, ActorKind
from core.audit.models import AppendOnly, AuditEntry
from core.audit.record import NoTransaction, record
from core.client_address import client_key

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"


def write(**changes: Any) -> AuditEntry:
    with transaction.atomic():
        return record(Action.PASSWORD_CHANGED, **changes)


@pytest.mark.parametrize(
    "sql",
    ["UPDATE audit_auditentry SET actor_email = 'nobody'", "DELETE FROM audit_auditentry"],
    ids=["UPDATE", "DELETE"],
)
def test_the_database_refuses_to_change_or_remove_a_line(member, sql):
    entry = write(actor=member.user)

    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)

    assert AuditEntry.objects.get(pk=entry.pk).actor_email == member.user.email


def test_the_model_refuses_it_before_the_database_is_asked(member):
    entry = write(actor=member.user)
    entry.actor_email = "nobody"

    for change in (
        entry.save,
        entry.delete,
        AuditEntry.objects.all().delete,
        lambda: AuditEntry.objects.update(actor_email="nobody"),
        lambda: AuditEntry.objects.bulk_update([entry], ["actor_email"]),
    ):
        with pytest.raises(AppendOnly):
            change()
    assert AuditEntry.objects.get(pk=entry.pk).actor_email == member.user.email


def test_a_line_outside_a_transaction_is_refused(member):
    with pytest.raises(NoTransaction):
        record(Action.PASSWORD_CHANGED, actor=member.user)

    assert not AuditEntry.objects.exists()


def test_a_deed_that_is_rolled_back_leaves_no_line(member):
    with transaction.atomic():
        log_out_everywhere(user=member.user)
        transaction.set_rollback(True)

    assert not AuditEntry.objects.exists()
    assert member.user.sessions.get().revoked_at is None


def test_an_unknown_action_is_refused(member):
    with pytest.raises(ValueError, match=r"made\.up"), transaction.atomic():
        record("made.up", actor=member.user)  # type: ignore[arg-type]


def test_a_line_names_people_as_they_were_called_then(member, stranger):
    entry = write(actor=member.user.pk, target=stranger.user.pk)
    told = (member.user.email, stranger.user.email)
    for number, person in enumerate((member.user, stranger.user)):
        User.objects.filter(pk=person.pk).update(email=f"renamed{number}@example.com")

    entry.refresh_from_db()

    assert (entry.actor_email, entry.target_label) == told
    assert (entry.actor_id, entry.target_type) == (member.user.pk, "user")


def test_a_line_tells_the_request_and_a_hash_of_its_network(member):
    context.request_id.set("request-7")
    context.client.set("203.0.113.7")
    try:
        entry = write(actor=member.user)
    finally:
        context.request_id.set("")
        context.client.set("")

    assert (entry.request_id, entry.client_key) == ("request-7", client_key("203.0.113.7"))
    assert "203.0.113.7" not in str(vars(entry))


@pytest.mark.parametrize(
    ("told", "kind"), [("", "person"), ("staff", "staff"), ("api_key", "api_key")], ids=["API", "admin", "API key"]
)
def test_as_what_somebody_acted_follows_from_the_request(member, told, kind):
    context.actor_kind.set(told)
    try:
        assert write(actor=member.user).actor_kind == kind
        assert write().actor_kind == "system"
        assert write(actor=member.user, kind=ActorKind.STAFF).actor_kind == "staff"
    finally:
        context.actor_kind.set("")


@pytest.mark.parametrize(
    "data",
    [
        {"password": "hunter22"},
        {"refresh_token": TOKEN},
        {"note": f"they sent Bearer {TOKEN}"},
        {"note": "password=hunter22"},
        {"note": "fk_0123456789ab_" + "0123456789abcdef" * 4},
        {"note": "postgres://faraja:hunter22@db/faraja"},
        {"note": "0123456789abcdef" * 4},
        {"list": [TOKEN]},
    ],
    ids=str,
)
def test_no_secret_gets_into_a_line(member, data):
    entry = write(actor=member.user, data=data)

    stored = str(entry.data)
    assert "hunter22" not in stored
    assert TOKEN not in stored
    assert "0123456789abcdef0123" not in stored
    assert "secret" in stored or "token" in stored


def test_data_stays_small_and_keeps_what_people_are_called(member):
    entry = write(
        actor=member.user,
        data={
            "from": "asha@example.com",
            "phone": "+255712345678",
            "id": member.user.pk,
            "at": timezone.now(),
            "text": "a b " * 500,
            "many": list(range(500)),
            "none": None,
        },
    )

    entry.refresh_from_db()
    assert (entry.data["from"], entry.data["phone"]) == ("asha@example.com", "+255712345678")
    assert entry.data["id"] == str(member.user.pk)
    assert (len(entry.data["text"]), len(entry.data["many"]), entry.data["none"]) == (300, 50, None)


def test_pruning_removes_old_lines_only_and_says_so(member, capsys):
    old, recent = write(actor=member.user), write(actor=member.user)
    AuditEntry.objects.bulk_create(
        [AuditEntry(action=Action.PASSWORD_CHANGED, actor_kind="system", at=timezone.now() - timedelta(days=400))]
    )

    with pytest.raises(CommandError):
        call_command("prune_audit", keep_days=3)
    call_command("prune_audit", keep_days=365)

    assert capsys.readouterr().out == "1 audit lines removed.\n"
    assert set(AuditEntry.objects.exclude(action=Action.AUDIT_PRUNED).values_list("pk", flat=True)) == {
        old.pk,
        recent.pk,
    }
    assert AuditEntry.objects.get(action=Action.AUDIT_PRUNED).data == {"rows": 1, "keep_days": 365}
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM audit_auditentry")
