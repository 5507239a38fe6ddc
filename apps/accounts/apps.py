from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in


class AccountsConfig(AppConfig):
    name = "apps.accounts"

    def ready(self) -> None:
        from apps.accounts.services.operators import record_admin_login

        user_logged_in.connect(record_admin_login, dispatch_uid="accounts.record_admin_login")
