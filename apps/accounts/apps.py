from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "apps.accounts"

    def ready(self) -> None:
        from apps.accounts.token_backend import current_ring

        current_ring()  # a ring that cannot be used stops the start, not the first login
