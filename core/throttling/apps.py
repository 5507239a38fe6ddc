from django.apps import AppConfig


class ThrottlingConfig(AppConfig):
    name = "core.throttling"
    label = "throttling"
