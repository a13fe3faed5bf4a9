"""`manage.py firststart`: makes the first tenant, project and tenant admin, once; prints the password, once."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction

from accounts.actions import add_tenant_admin, create_tenant, generate_password
from accounts.models import User
from workspaces.actions.project import create_project


class Command(BaseCommand):
    help = "On an empty database: makes a tenant, a project and a tenant admin with a generated password."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--email", default="admin@example.com")
        parser.add_argument("--tenant", default="Harbor")
        parser.add_argument("--project", default="Default")

    def handle(self, *args: Any, **options: Any) -> None:
        if User.objects.exists():
            return
        password = generate_password()
        with transaction.atomic():
            tenant = create_tenant(by=None, name=options["tenant"])
            admin = add_tenant_admin(by=None, tenant=tenant, email=options["email"], password=password)
            create_project(by=None, tenant=tenant, name=options["project"])
        self.stdout.write(
            f"\n  Sign in as {admin.email} with the password {password}\n"
            "  It is shown this once and stored nowhere in the clear: change it under your name, top right.\n\n"
            f"  The keys under {settings.VAR} open every stored credential. Lose them, and each one must be typed\n"
            "  again. Back up that folder; the README says how.\n"
        )
