"""Django's admin, with the site of this kit."""

from django.contrib.admin.apps import AdminConfig


class OperatorAdminConfig(AdminConfig):
    default_site = "core.admin_site.OperatorSite"
