"""Use cases for wordings: say one, look at one before it is said, publish another, go back."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps.messaging.catalogue import TEMPLATES
from apps.messaging.channels import Channel
from apps.messaging.models.templates import COLUMNS, TemplateVersion
from apps.messaging.selectors.templates import (
    DEFAULT_LANGUAGE,
    LANGUAGES,
    default_form,
    describe_version,
    find_newest_version,
    get_template,
)
from apps.messaging.wordings import Form, Template, Wording, clean_value, faults_in, fill, normal, values_for
from core.audit.actions import Action
from core.audit.record import record
from core.exceptions import NotFound, RuleViolated
from core.locks import lock_name
from services.sms.encoding import measure

MAX_FILLED_SUBJECT = 200  # what a message and a notification have room for

logger = logging.getLogger("faraja.messaging")


class WordingRefused(RuleViolated):
    """A wording does not fit its template: `errors` names each field and what is wrong with it."""

    code = "wording_refused"
    message = _("Please correct the marked fields.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What somebody would read. `parts`: of how many text messages it consists; None where it is none."""

    channel: Channel
    subject: str
    text: str
    parts: int | None


def render(key: str, *, language: str, channel: str, values: Mapping[str, object]) -> Wording:
    """The wording `key` for one channel with `values` put in, in force now; English where `language` is not ours.

    `values` are exactly those that the template names; `KeyError` and `ValueError` are defects of the caller. However
    long or odd a value is, the text stays short and means what it meant (`wordings.clean_value`).
    """
    template, by = TEMPLATES[key], Channel(channel)
    spoken = language if language in LANGUAGES else DEFAULT_LANGUAGE
    told = values_for(template, values)
    form, version = _form_in_force(template, by, spoken)
    subject = fill(str(form.subject), told)[:MAX_FILLED_SUBJECT]
    return Wording(subject=subject, text=fill(str(form.text), told), version=version)


def _form_in_force(template: Template, channel: Channel, language: str) -> tuple[Form, int]:
    default = default_form(template, channel=channel, language=language)  # `KeyError`: not a channel of this template
    version = find_newest_version(key=template.key, language=language)
    if version is None or version.is_default:
        return default, 0
    form = version.form(channel)
    # The code may have moved on since this was published.
    if any(faults_in(template, channel, form)):
        told = {"template": template.key, "language": language, "version": version.number}
        logger.error("a published wording does not fit its template: the default is used", extra=told)
        return default, 0
    return form, version.number


def preview(
    *,
    key: str,
    language: str,
    values: Mapping[str, object] | None = None,
    forms: Mapping[Channel, Form] | None = None,
) -> list[Preview]:
    """What the wording in force (or `forms` in its place) would say, with `values` and examples for the others.

    `NotFound` for a key that nobody knows; `WordingRefused` for a value that the template does not name.
    """
    template = get_template(key=key)
    limits = {each.name: each.max_length if not each.is_exact else len(each.example) for each in template.variables}
    given = values or {}
    if unknown := sorted(given.keys() - limits.keys()):
        raise WordingRefused(errors={"values": [_("Unknown: %(names)s.") % {"names": ", ".join(unknown)[:200]}]})
    told = template.examples | {name: clean_value(value, max_length=limits[name]) for name, value in given.items()}
    if forms is None:
        newest = find_newest_version(key=key, language=language)
        forms = describe_version(template, language=language, version=newest).forms
    return [_preview(channel, form, told) for channel, form in forms.items()]


def _preview(channel: Channel, form: Form, told: Mapping[str, str]) -> Preview:
    text = fill(str(form.text), told)
    parts = measure(text).parts if channel == Channel.SMS else None
    return Preview(channel=channel, subject=fill(str(form.subject), told), text=text, parts=parts)


def find_faults(template: Template, forms: Mapping[Channel, Form]) -> dict[str, list[str]]:
    """What is wrong with `forms`, by column of a version. All channels of the template are needed, and no others."""
    found: dict[str, list[str]] = {}
    for channel, columns in COLUMNS.items():
        form = forms.get(channel)
        if channel in template.defaults:
            for part, fault in faults_in(template, channel, form or Form(text="")):
                found.setdefault(columns[0] if part == "subject" and columns[0] else columns[1], []).append(fault)
        elif form is not None and (form.text or form.subject):
            found.setdefault(columns[1], []).append(str(_("This template has no such form.")))
    return found


@transaction.atomic
def publish_version(
    *, operator_id: UUID, key: str, language: str, forms: Mapping[Channel, Form], note: str = ""
) -> TemplateVersion:
    """Put `forms` in force for a template and a language. `NotFound`, or `WordingRefused` with what is wrong."""
    template = get_template(key=key)
    if language not in LANGUAGES:
        raise NotFound
    told = {
        channel: Form(subject=normal(str(form.subject)), text=normal(str(form.text))) for channel, form in forms.items()
    }
    if faults := find_faults(template, told):
        raise WordingRefused(errors=faults)
    columns: dict[str, object] = {}
    for channel, form in told.items():
        subject, text = COLUMNS[channel]
        columns |= {text: str(form.text)} | ({subject: str(form.subject)} if subject else {})
    return _append(operator_id, key, language, note=note, **columns)


@transaction.atomic
def restore_version(*, operator_id: UUID, version_id: UUID, note: str = "") -> TemplateVersion | None:
    """Put an older version in force again; None when it is already. `NotFound`, or `WordingRefused` when it no longer
    fits what the code can tell.
    """
    version = TemplateVersion.objects.filter(pk=version_id).first()
    if version is None:
        raise NotFound
    template = get_template(key=version.template)
    newest = find_newest_version(key=version.template, language=version.language)
    if newest is None or newest.pk == version.pk:
        return None
    if version.is_default:
        return restore_default(operator_id=operator_id, key=version.template, language=version.language, note=note)
    if faults := find_faults(template, {channel: version.form(channel) for channel in template.defaults}):
        raise WordingRefused(errors=faults)
    columns = {name: getattr(version, name) for pair in COLUMNS.values() for name in pair if name}
    return _append(operator_id, version.template, version.language, note=note, repeats=version.number, **columns)


@transaction.atomic
def restore_default(*, operator_id: UUID, key: str, language: str, note: str = "") -> TemplateVersion | None:
    """Put the default of the code in force again; None when it is already. `NotFound`."""
    get_template(key=key)
    newest = find_newest_version(key=key, language=language)
    if newest is None or newest.is_default:
        return None
    return _append(operator_id, key, language, note=note, is_default=True)


def _append(operator_id: UUID, key: str, language: str, **columns: object) -> TemplateVersion:
    lock_name(f"template:{key}:{language}")  # two at once: one after the other, each with its number
    newest = find_newest_version(key=key, language=language)
    number = newest.number + 1 if newest else 1
    version: TemplateVersion = TemplateVersion.objects.create(
        template=key, language=language, number=number, published_by_id=operator_id, **columns
    )
    told = {"template": key, "language": language, "version": number}
    record(Action.TEMPLATE_PUBLISHED, actor=operator_id, target=version, data=told)
    return version
