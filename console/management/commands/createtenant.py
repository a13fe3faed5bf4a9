"""`manage.py createtenant NAME --admin EMAIL`: a tenant with its first project and admin; prints the password, once."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import IntegrityError, models, transaction

from accounts.actions import add_tenant_admin, create_tenant, generate_password
from accounts.models import Tenant, User
from console.lib.errors import BadInput
from workspaces.actions.project import create_project


class Command(BaseCommand):
    help = "Makes a tenant with one project and a tenant admin, whose generated password is printed once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="the organisation's name")
        parser.add_argument("--admin", metavar="EMAIL", required=True, help="the tenant admin's e-mail address")
        parser.add_argument("--project", default="Default", help="the first project (default: %(default)s)")

    def handle(self, *args: Any, **options: Any) -> None:
        name, email, password = options["name"].strip(), options["admin"].strip().lower(), generate_password()
        refuse_bad(Tenant(name=name))
        refuse_bad(User(email=email), "password")
        try:
            create(name, email, password, options["project"])
        except BadInput as error:
            raise CommandError(f"Project: {error.sentence()}") from error
        except IntegrityError as error:  # somebody was faster between the check and the insert
            raise CommandError("Somebody else made the same tenant or person a moment ago.") from error
        self.stdout.write(
            f"Tenant {name} is there. {email} signs in with the password {password}\n"
            "It is shown this once and stored nowhere in the clear."
        )


@transaction.atomic
def create(name: str, email: str, password: str, project: str) -> None:
    """All of it or nothing."""
    tenant = create_tenant(by=None, name=name)
    add_tenant_admin(by=None, tenant=tenant, email=email, password=password)
    create_project(by=None, tenant=tenant, name=project)


def refuse_bad(row: models.Model, *untold: str) -> None:
    """Raises CommandError with every sentence about the row; `untold` fields are not looked at."""
    try:
        row.full_clean(exclude=untold)
    except ValidationError as error:
        sentences = [f"{name}: {' '.join(messages)}" for name, messages in error.message_dict.items()]
        raise CommandError(" ".join(sentences)) from error
