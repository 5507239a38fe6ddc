from django.apps import AppConfig
from django.core.checks import register


class CoreConfig(AppConfig):
    name = "core"

    def ready(self) -> None:
        from core.checks import check_admin_needs_second_factor, check_walls

        register(check_walls, "tenancy", deploy=True)
        register(check_admin_needs_second_factor, "security", deploy=True)
