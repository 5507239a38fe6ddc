"""Use cases for links that prove an e-mail address: verify it, change it, choose a new password.

Nothing secret is stored. A link's token names its row and carries a signature over it, so it is made again from the
row when the mail is written, and a database dump opens nothing.
"""

from __future__ import annotations

import hmac
from datetime import timedelta
from uuid import UUID

from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import IntegrityError, transaction
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.accounts.models import AuthSession, EmailLink, User
from apps.accounts.selectors import find_user_by_email, has_second_factor, is_email_proven_by_another
from apps.accounts.services.notices import Wording, send_notice
from apps.accounts.services.passwords import set_password
from apps.accounts.services.sessions import end_all_sessions
from apps.accounts.services.step_up import require_proof
from core.audit.actions import Action
from core.audit.record import record
from core.derived import derive, row_named_in
from core.exceptions import RuleViolated
from core.outbox.publisher import publish
from core.purge import delete_in_batches
from core.throttling.limits import spend

Purpose = EmailLink.Purpose
TOKEN_LENGTH = 64  # 32 hex digits of the row's id, 32 of the signature


class LinkInvalid(RuleViolated):
    """Used before, expired, replaced by a newer one, or never given out."""

    code = "link_invalid"
    message = gettext_lazy("This link is no longer valid. Please ask for a new one.")


@transaction.atomic
def request_verification(*, user: User) -> None:
    """Send a link that proves `user`'s address. Does nothing when they have proven it already.

    When somebody else has, that person is told instead: see `send_link`.
    """
    if user.email_verified_at is None:
        _request(user, Purpose.VERIFY_EMAIL, email=user.email)


@transaction.atomic
def request_email_change(*, session: AuthSession, email: str, password: str = "") -> None:
    """Send a link to the new address; the account keeps the old one until it is followed.

    `ReauthenticationRequired` or `WrongPassword`, as `require_proof` has it. Whether the new address belongs to
    somebody else is not told: it shows when the link is followed.
    """
    require_proof(session=session, password=password)
    _request(session.user, Purpose.CHANGE_EMAIL, email=email.strip().lower(), session=session)


def request_password_reset(*, email: str, client: str) -> None:
    """Ask for a reset link, or `Throttled`. `client` is the network that asks.

    The request costs and answers the same whether the address is known or not: the look-up happens when the event is
    heard.
    """
    account = email.strip().lower()
    spend({"reset_client": client, "reset_account": account})
    with transaction.atomic():
        publish("account.reset_requested", {"email": account})


@transaction.atomic
def issue_reset_link(*, email: str) -> None:
    """Send the reset link, if a person has this address who is active, or leaving and may want to come back."""
    user = find_user_by_email(email=email)
    if user is not None and (user.is_active or user.is_leaving):
        _request(user, Purpose.RESET_PASSWORD, email=user.email)


def _request(user: User, purpose: str, *, email: str, session: AuthSession | None = None) -> None:
    """A new link replaces the older ones of its purpose."""
    EmailLink.objects.filter(user=user, purpose=purpose, used_at=None).update(used_at=timezone.now())
    link = EmailLink.objects.create(
        user=user,
        purpose=purpose,
        email=email,
        session_id=session.pk if session else None,
        expires_at=timezone.now() + settings.AUTH_LINK_LIFETIME[purpose],
    )
    publish("account.link_requested", {"link_id": str(link.pk)})


def send_link(*, link_id: UUID) -> None:
    """Write the mail for a link that is still good. A repetition after a crash has the same token and Message-ID.

    Whether the address belongs to another account already is looked at here, where no client can measure it; its owner
    gets a hint in place of a link that could prove nothing.
    """
    link = EmailLink.objects.select_related("user").filter(pk=link_id, used_at=None).first()
    if link is None:
        return
    with translation.override(link.user.language):
        subject, text = _wording(link)
        EmailMessage(subject, text, to=[link.email], headers={"Message-ID": f"<{link.pk}@faraja>"}).send()


def _wording(link: EmailLink) -> tuple[str, str]:
    if link.purpose == Purpose.VERIFY_EMAIL and is_email_proven_by_another(user=link.user):
        text = _(
            "Somebody registered with this e-mail address, but you have an account with it already.\n\n"
            "If it was you, sign in with your own password, or choose a new one:\n\n%(url)s\n\n"
            "If it was not you, ignore this message; nothing has changed."
        )
        return _("You have an account already"), text % {"url": f"{settings.FRONTEND_URL}/reset-password"}
    path, subject, text = {
        Purpose.VERIFY_EMAIL: (
            "verify-email",
            _("Confirm your e-mail address"),
            _("Please confirm your e-mail address by opening this link:\n\n%(url)s"),
        ),
        Purpose.CHANGE_EMAIL: (
            "verify-email",
            _("Confirm your new e-mail address"),
            _("Please confirm your new e-mail address by opening this link:\n\n%(url)s"),
        ),
        Purpose.RESET_PASSWORD: (
            "reset-password",
            _("Choose a new password"),
            _(
                "Open this link to choose a new password:\n\n%(url)s\n\n"
                "If you did not ask for it, ignore this message; nothing has changed."
            ),
        ),
    }[Purpose(link.purpose)]
    return subject, text % {"url": f"{settings.FRONTEND_URL}/{path}?token={token_of(link)}"}


def token_of(link: EmailLink) -> str:
    """The token of a link: a pure function of its row and the server's key."""
    return link.pk.hex + _signature(link.pk)


def _signature(link_id: UUID) -> str:
    return derive("email-link", link_id.bytes).hex()[:32]


def _use(token: str, *purposes: str) -> EmailLink:
    """The live link behind a token, spent by this call: of two simultaneous uses one wins. Or `LinkInvalid`."""
    link_id = row_named_in(token)
    if not hmac.compare_digest(token[32:].encode(), _signature(link_id).encode()):
        raise LinkInvalid
    now = timezone.now()
    spent = EmailLink.objects.filter(pk=link_id, purpose__in=purposes, used_at=None, expires_at__gt=now)
    if not spent.update(used_at=now):
        raise LinkInvalid
    return EmailLink.objects.select_related("user").get(pk=link_id)


def purge_links() -> None:
    """Forget links that expired a month ago, a thousand at a time."""
    delete_in_batches(EmailLink.objects.filter(expires_at__lt=timezone.now() - timedelta(days=30)))


@transaction.atomic
def verify_email(*, token: str) -> User:
    """Take a followed link as proof of its address, or `LinkInvalid`. A changed address moves in now.

    A change ends every session but the one in which it was asked for, and the old address is told.
    """
    link = _use(token, Purpose.VERIFY_EMAIL, Purpose.CHANGE_EMAIL)
    user = link.user
    if link.purpose == Purpose.VERIFY_EMAIL and user.email != link.email:
        raise LinkInvalid  # the address has changed since
    before = user.email
    user.email, user.email_verified_at = link.email, timezone.now()
    try:
        with transaction.atomic():
            user.save(update_fields=["email", "email_verified_at", "updated_at"])
    except IntegrityError:
        raise LinkInvalid from None
    if before != user.email:
        end_all_sessions(user_id=user.pk, reason=AuthSession.Reason.NEW_EMAIL, but=link.session_id)
        publish("account.email_changed", {"user_id": str(user.pk), "before": before})
        record(Action.EMAIL_CHANGED, actor=user, target=user, data={"from": before, "to": user.email})
    return user


def tell_email_changed(*, user_id: UUID, before: str) -> None:
    """The notice to the old address: if it was not them, they learn it now."""

    def wording(_user: User) -> Wording:
        text = _(
            "The e-mail address of your account was changed, so this one no longer belongs to it. If this was not you, "
            "contact us at once."
        )
        return _("Your e-mail address was changed"), text

    send_notice(user_id=user_id, wording=wording, to=before)


@transaction.atomic
def reset_password(*, token: str, password: str) -> None:
    """Set a new password by a followed link; every session ends. `LinkInvalid`, or `PasswordTooWeak` (link stays).

    Whoever claimed the address first, without having it, keeps no way in. A phone number has to be proven again, and a
    change to another address that was asked for does not happen; where the link is the first proof of the address,
    accounts at login providers go too. With a second factor it proves nothing: the factor may be that stranger's, who
    must not keep the address, and the mailbox alone must not take a factor away.
    """
    link = _use(token, Purpose.RESET_PASSWORD)
    set_password(user=link.user, password=password)
    changes = EmailLink.objects.filter(user=link.user, purpose=Purpose.CHANGE_EMAIL, used_at=None)
    changes.update(used_at=timezone.now())
    User.objects.filter(pk=link.user_id).update(phone_verified_at=None)
    # The mail arrived, so the address is theirs; unless somebody else has proven it in the meantime.
    is_first_proof = link.user.email_verified_at is None and not has_second_factor(user_id=link.user_id)
    if is_first_proof and not is_email_proven_by_another(user=link.user):
        SocialAccount.objects.filter(user=link.user).delete()
        User.objects.filter(pk=link.user_id, email=link.email).update(email_verified_at=timezone.now())
    record(Action.PASSWORD_RESET, actor=link.user, target=link.user)
