"""The one way to the outside world over HTTP: timeouts, size limits, redaction and error names, decided once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from django.utils.translation import gettext_lazy as _

from core.exceptions import Unavailable


class GatewayUnavailable(Unavailable):
    """Nothing reached the provider (name lookup, connection, TLS): trying again is safe."""

    code = "gateway_unavailable"
    message = _("The provider cannot be reached right now. Please try again.")


class OutcomeUnknown(Unavailable):
    """Something may have reached the provider and its answer did not reach us: ask before doing anything else."""

    code = "gateway_unavailable"
    message = _("The provider has not confirmed the outcome yet.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One callback as it arrived: the exact bytes, and headers with lower-case names."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
