from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in


class AccountsConfig(AppConfig):
    name = "apps.accounts"

    def ready(self) -> None:
        from apps.accounts.services.operators import record_admin_login
        from apps.accounts.token_backend import current_ring

        current_ring()  # a ring that cannot be used stops the start, not the first login
        user_logged_in.connect(record_admin_login, dispatch_uid="accounts.record_admin_login")
