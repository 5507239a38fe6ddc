"""Wordings for operators: which there are, what is in force, publishing another, going back.

A version is a form like any other, except that it can be looked at before it is saved, and never changed afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from apps.messaging.catalogue import TEMPLATES
from apps.messaging.channels import Channel
from apps.messaging.models.templates import COLUMNS, TemplateVersion
from apps.messaging.selectors.templates import describe_version, find_newest_version, list_templates
from apps.messaging.services.templates import find_faults, preview, publish_version, restore_default, restore_version
from apps.messaging.wordings import Form, Template, normal
from core.admin import ReadOnlyAdmin, asked_actions

Shown = tuple[Template, str, dict[Channel, Form]]

LANGUAGES = dict(settings.LANGUAGES)
LABELS = {
    "sms_text": gettext_lazy("Text message"),
    "email_subject": gettext_lazy("Subject of the e-mail"),
    "email_text": gettext_lazy("Text of the e-mail"),
    "inbox_title": gettext_lazy("Title in the app"),
    "inbox_text": gettext_lazy("Text in the app"),
}


def columns_of(template: Template) -> list[str]:
    """The columns of a version that a template uses."""
    return [name for channel in template.defaults for name in COLUMNS[channel] if name]


def forms_in(template: Template, columns: Mapping[str, Any]) -> dict[Channel, Form]:
    """The wordings that stand in such columns."""
    found = {}
    for channel in template.defaults:
        subject, text = COLUMNS[channel]
        told = normal(str(columns.get(subject) or "")) if subject else ""
        found[channel] = Form(subject=told, text=normal(str(columns.get(text) or "")))
    return found


class VersionForm(forms.ModelForm):  # type: ignore[type-arg]
    """A version to be. Which template and language follows from the page, and is kept in hidden fields."""

    class Meta:
        model = TemplateVersion
        fields = ("template", "language", *LABELS, "note")
        labels = LABELS
        help_texts = {"note": gettext_lazy("Why. Shown in the list of versions.")}
        widgets = {
            "template": forms.HiddenInput,
            "language": forms.HiddenInput,
            **{name: UnfoldAdminTextareaWidget(attrs={"rows": 4}) for name in LABELS if name.endswith("_text")},
            "email_subject": UnfoldAdminTextInputWidget,
            "inbox_title": UnfoldAdminTextInputWidget,
            "note": UnfoldAdminTextInputWidget,
        }

    # Looked at, and not saved yet.
    is_preview = False

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        template = TEMPLATES.get(str(cleaned.get("template")))
        if template is not None:
            for name, faults in find_faults(template, forms_in(template, cleaned)).items():
                if name in self.fields and name not in self.errors:
                    self.add_error(name, faults)
        return cleaned

    def is_valid(self) -> bool:
        return super().is_valid() and not self.is_preview


class PreviewedForm(VersionForm):
    is_preview = True


@admin.register(TemplateVersion)
class TemplateVersionAdmin(ReadOnlyAdmin):
    form = VersionForm
    list_display = ("created_at", "template", "language", "number", "shown_state", "repeats", "published_by", "note")
    list_filter = ("template", "language")
    list_select_related = ("published_by",)
    search_fields = ("template", "note", "sms_text", "email_subject", "email_text", "inbox_title", "inbox_text")
    ordering = ("-created_at", "-id")
    show_full_result_count = False
    list_before_template = "messaging/admin/catalogue.html"
    change_form_after_template = "messaging/admin/preview.html"
    actions = ("restore", "reset")
    actions_detail = ("restore_one", "reset_one")

    restore, restore_one = asked_actions(
        "restore",
        use_case=lambda request, version, reason: (
            restore_version(operator_id=_operator_id(request), version_id=version.pk, note=reason[:200]) is not None
        ),
        permission="publish",
        title=gettext_lazy("Put in force again"),
        warning=gettext_lazy("Messages from now on have the wording of these versions."),
        done=gettext_lazy("In force again."),
        needs_reason=True,
        icon="history",
    )
    reset, reset_one = asked_actions(
        "reset",
        use_case=lambda request, version, reason: (
            restore_default(
                operator_id=_operator_id(request), key=version.template, language=version.language, note=reason[:200]
            )
            is not None
        ),
        permission="publish",
        title=gettext_lazy("Back to the default"),
        warning=gettext_lazy("Messages from now on have the wording that came with the software."),
        done=gettext_lazy("The default is in force."),
        needs_reason=True,
        icon="restart_alt",
    )

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        return bool(request.user.has_perm("messaging.add_templateversion"))

    def has_publish_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self.has_add_permission(request)

    def get_queryset(self, request: HttpRequest) -> QuerySet[TemplateVersion]:
        newer = TemplateVersion.objects.filter(
            template=OuterRef("template"), language=OuterRef("language"), number__gt=OuterRef("number")
        )
        versions: QuerySet[TemplateVersion] = super().get_queryset(request)
        return versions.annotate(is_newest=~Exists(newer))

    @display(description=gettext_lazy("state"), label={"now": "success", "past": "default"})  # type: ignore[untyped-decorator]
    def shown_state(self, version: TemplateVersion) -> tuple[str, str]:
        told = _("the default") if version.is_default else ""
        if getattr(version, "is_newest", False):
            return "now", f"{_('in force')} {told}".strip()
        return "past", f"{_('earlier')} {told}".strip()

    # --- The list, with the catalogue above it ---

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        shown = {"catalogue": self._catalogue(request), "catalogue_headers": _catalogue_headers()}
        response: HttpResponse = super().changelist_view(request, {**shown, **(extra_context or {})})
        return response

    def _catalogue(self, request: HttpRequest) -> list[dict[str, Any]]:
        may_publish = self.has_add_permission(request)
        add_url = reverse("admin:messaging_templateversion_add")
        return [
            {
                "key": state.template.key,
                "kind": state.template.kind.label,
                "description": state.template.description,
                "wordings": [
                    {
                        "told": _("version %(number)d") % {"number": each.version} if each.version else _("default"),
                        "url": f"{add_url}?{urlencode({'template': state.template.key, 'language': each.language})}"
                        if may_publish
                        else "",
                    }
                    for each in state.wordings
                ],
            }
            for state in list_templates()
        ]

    # --- The page of a version to be ---

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        if _asked(request) is None:
            self.message_user(request, _("Choose a wording and a language in the table."), messages.INFO)
            return HttpResponseRedirect(reverse("admin:messaging_templateversion_changelist"))
        response: HttpResponse = super().add_view(request, form_url, extra_context)
        return response

    def get_fields(self, request: HttpRequest, obj: TemplateVersion | None = None) -> list[str]:
        if obj is not None:
            template = TEMPLATES.get(obj.template)
            columns = columns_of(template) if template else list(LABELS)
            shown = [] if obj.is_default else columns
            return ["template", "language", "number", "created_at", "published_by", "repeats", *shown, "note"]
        asked = _asked(request)
        return ["template", "language", *(columns_of(asked[0]) if asked else []), "note"]

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if "_preview" in request.POST:
            kwargs["form"] = PreviewedForm
        return super().get_form(request, obj, change, **kwargs)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, str]:
        asked = _asked(request)
        if asked is None:
            return {}
        template, language = asked
        newest = find_newest_version(key=template.key, language=language)
        found = {"template": template.key, "language": language}
        for channel, form in describe_version(template, language=language, version=newest).forms.items():
            subject, text = COLUMNS[channel]
            found |= {text: str(form.text)} | ({subject: str(form.subject)} if subject else {})
        return found

    def save_model(self, request: HttpRequest, obj: TemplateVersion, form: Any, change: bool) -> None:
        template = TEMPLATES[obj.template]
        published = publish_version(
            operator_id=_operator_id(request),
            key=obj.template,
            language=obj.language,
            forms=forms_in(template, form.cleaned_data),
            note=obj.note,
        )
        obj.pk, obj.number = published.pk, published.number

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        shown = self._shown(request, kwargs.get("obj"), context["adminform"].form)
        if shown is not None:
            template, language, forms_shown = shown
            context |= {"about": _about(template), "words": _words(), "is_new": kwargs.get("obj") is None}
            context["title"] = f"{template.key}: {LANGUAGES[language]}"
            context["previews"] = [
                {"channel": each.channel.label, "subject": each.subject, "text": each.text, "parts": _parts(each.parts)}
                for each in preview(key=template.key, language=language, forms=forms_shown)
            ]
        response: HttpResponse = super().render_change_form(request, context, *args, **kwargs)
        return response

    def _shown(self, request: HttpRequest, version: TemplateVersion | None, form: Any) -> Shown | None:
        """What the page previews: a version, what was typed, or what is in force; no forms when that has faults."""
        if version is not None:
            template = TEMPLATES.get(version.template)
            if template is None:
                return None
            told = {} if version.is_default else {channel: version.form(channel) for channel in template.defaults}
            return template, version.language, told
        asked = _asked(request)
        if asked is None:
            return None
        typed = form.cleaned_data if form.is_bound and not form.errors else form.initial
        return *asked, {} if form.errors else forms_in(asked[0], typed)


def _asked(request: HttpRequest) -> tuple[Template, str] | None:
    """Which wording the page is about."""
    told = request.POST if request.method == "POST" else request.GET
    template, language = TEMPLATES.get(told.get("template", "")), told.get("language", "")
    return (template, language) if template is not None and language in LANGUAGES else None


def _operator_id(request: HttpRequest) -> UUID:
    return cast(UUID, request.user.pk)


def _parts(parts: int | None) -> str:
    if parts is None:
        return ""
    return _("1 text message") if parts == 1 else _("%(count)d text messages") % {"count": parts}


def _about(template: Template) -> dict[str, Any]:
    variables = [
        {
            "name": f"{{{each.name}}}",
            "description": each.description,
            "example": each.example,
            "need": _("exactly once") if each.is_exact else _("needed") if each.is_required else _("if you like"),
        }
        for each in template.variables
    ]
    return {"description": template.description, "kind": template.kind.label, "variables": variables}


def _words() -> dict[str, str]:
    """What the pages say. Sentences stand in modules, where the catalogues find them."""
    return {
        "placeholders": _("Placeholders"),
        "preview": _("Preview"),
        "with_examples": _("With the examples put in. Nothing is sent, and nothing is saved yet."),
        "look": _("Preview"),
        "none": _("None."),
    }


def _catalogue_headers() -> list[str]:
    return [_("Wording"), _("What for"), *(str(name) for name in LANGUAGES.values())]
