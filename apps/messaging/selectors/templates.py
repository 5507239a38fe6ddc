"""Questions about wordings: which there are, and which version counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import translation

from apps.messaging.catalogue import TEMPLATES
from apps.messaging.channels import Channel
from apps.messaging.models.templates import TemplateVersion
from apps.messaging.wordings import Form, Template
from core.exceptions import NotFound

LANGUAGES = tuple(code for code, _name in settings.LANGUAGES)
DEFAULT_LANGUAGE = LANGUAGES[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """What counts for one template in one language. `version` 0 and no time: the default of the code."""

    language: str
    version: int
    published_at: datetime | None
    forms: Mapping[Channel, Form]

    @property
    def shown_forms(self) -> list[dict[str, str]]:
        """The forms as plain texts, in the order of the catalogue."""
        return [
            {"channel": str(channel), "subject": str(form.subject), "text": str(form.text)}
            for channel, form in self.forms.items()
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateState:
    """A template with what counts in each language."""

    template: Template
    wordings: tuple[InForce, ...]


def get_template(*, key: str) -> Template:
    """A template of the catalogue, or `NotFound`."""
    template = TEMPLATES.get(key)
    if template is None:
        raise NotFound
    return template


def find_newest_version(*, key: str, language: str) -> TemplateVersion | None:
    """The newest version that staff have published, or None. It may say that the default counts."""
    return TemplateVersion.objects.filter(template=key, language=language).order_by("-number").first()


def list_newest_versions() -> QuerySet[TemplateVersion]:
    """The newest version of each template in each language, where there is any."""
    newer = TemplateVersion.objects.filter(
        template=OuterRef("template"), language=OuterRef("language"), number__gt=OuterRef("number")
    )
    return TemplateVersion.objects.filter(~Exists(newer))


def default_form(template: Template, *, channel: Channel, language: str) -> Form:
    """The wording of the code in one language."""
    found = template.defaults[channel]
    with translation.override(language):
        return Form(subject=str(found.subject), text=str(found.text))


def describe_version(template: Template, *, language: str, version: TemplateVersion | None) -> InForce:
    """What counts when `version` is the newest one. A form that it does not have is the default's."""
    own = version if version is not None and not version.is_default else None
    forms = {channel: default_form(template, channel=channel, language=language) for channel in template.defaults}
    if own is not None:
        forms |= {channel: own.form(channel) for channel in forms if own.form(channel).text}
    return InForce(
        language=language,
        version=own.number if own else 0,
        published_at=own.created_at if own else None,
        forms=forms,
    )


def list_templates() -> list[TemplateState]:
    """Every template with what counts now, in the order of the catalogue. One query."""
    newest = {(each.template, each.language): each for each in list_newest_versions()}
    return [_state(template, newest) for template in TEMPLATES.values()]


def get_template_state(*, key: str) -> TemplateState:
    """One template with what counts now, or `NotFound`."""
    template = get_template(key=key)
    newest = list_newest_versions().filter(template=key)
    return _state(template, {(each.template, each.language): each for each in newest})


def _state(template: Template, newest: Mapping[tuple[str, str], TemplateVersion]) -> TemplateState:
    wordings = tuple(
        describe_version(template, language=language, version=newest.get((template.key, language)))
        for language in LANGUAGES
    )
    return TemplateState(template=template, wordings=wordings)
