"""`manage.py verifyaudit`: whether the audit log is as it was sealed.

Finds any single sealed row that was changed, removed, put elsewhere or put in, and an end that was cut off; names
their ids and exits with 1. What it cannot find stands in accounts/chain.py: changes to rows of the last seconds, rows
added at the end by whoever may add rows, and a log put back as a whole to what it was, unless `--head` says more.
"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from accounts import chain
from accounts.models import AuditChain, AuditEvent, AuditLink
from console.lib.errors import ConsoleError


class Command(BaseCommand):
    help = "Checks the audit log against its chain. Exit code 1, and the ids, when a row is not as it was sealed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--head", default="", metavar="NUMBER:CODE", help="a head printed or logged earlier")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            found = self._report(options["head"])
        except ConsoleError as error:
            raise CommandError(error.sentence()) from error
        self.stdout.write(
            f"rows={AuditEvent.objects.count()} sealed={AuditLink.objects.count()} "
            f"unsealed={chain.unsealed()} findings={found} changeable={_changeable()}"
        )
        head = AuditChain.objects.filter(pk=chain.HEAD).first()
        if found:
            raise CommandError(f"The audit log is not as it was sealed: {found} findings.")
        if head:
            AuditChain.objects.filter(pk=chain.HEAD).update(trouble="")
            self.stdout.write(f"head={chain.head_of(head)}")

    def _report(self, noted: str) -> int:
        found = 0
        for found, finding in enumerate(chain.findings(noted), start=1):  # noqa: B007 - the last one is the count
            self.stderr.write(str(finding))
        return found


def _changeable() -> str:
    """Whether the database lets this very user change audit rows; SQLite knows no users."""
    if connection.vendor != "postgresql":
        return "yes"
    with connection.cursor() as cursor:
        cursor.execute("SELECT has_table_privilege('accounts_auditevent', 'UPDATE, DELETE, TRUNCATE')")
        return "yes" if cursor.fetchone()[0] else "no"
