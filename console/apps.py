from django.apps import AppConfig
from django.contrib.admin import apps as django_admin


class ConsoleConfig(AppConfig):
    default = True
    name = "console"
    verbose_name = "Console"

    def ready(self) -> None:
        from console import checks  # noqa: F401 - registers the system checks


class SiteConfig(django_admin.AdminConfig):
    """Django admin with our rules of who gets in."""

    default = False
    default_site = "accounts.site.Site"
