"""Reading a provider's variables, which have local defaults only where the simulators play it."""

from __future__ import annotations

from dataclasses import dataclass

from config.settings.environment import env


@dataclass(frozen=True, slots=True)
class Reader:
    """Variables with a local default each, which counts only where the simulators play the providers."""

    simulators_url: str | None

    @property
    def is_local(self) -> bool:
        return self.simulators_url is not None

    def has_account(self, name: str) -> bool:
        """Whether the installation has an account of its own: its first credential is there, or a simulator's is."""
        return self.is_local or bool(self.optional(name))

    def url(self, name: str, *, live: str, local: str) -> str:
        return str(env.str(name, default=live if self.simulators_url is None else self.simulators_url + local))

    def required(self, name: str, demo: str) -> str:
        return str(env.str(name, default=demo if self.is_local else env.NOTSET))

    def optional(self, name: str, demo: str = "") -> str:
        return str(env.str(name, default=demo if self.is_local else ""))
