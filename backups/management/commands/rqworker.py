"""`manage.py rqworker QUEUE`: one queue per process, jobs imported before the fork, JSON messages."""

from __future__ import annotations

import contextlib
import gc
import uuid
from typing import Any

from django.core.management.base import CommandError
from django.db import DatabaseError, connections
from django_rq.management.commands import rqworker

from console.lib import heartbeat

WORKERS = {"interactive": "console.lib.worker.PromptWorker"}


class Command(rqworker.Command):
    help = "Works on exactly one queue: RQ loses jobs of killed workers that listen to several."

    def handle(self, *args: Any, **options: Any) -> None:
        if len(args) != 1:
            raise CommandError("Name exactly one queue: interactive, commands or slow.")
        import backups.jobs  # noqa: F401
        from backups.storage import gcs, s3  # what a job needs is imported and warmed up here, once, SDKs included
        from console.kube import connection

        s3.warm_up()
        gcs.warm_up()
        connection.warm_up()
        warm_up_queries()
        options["serializer"] = "rq.serializers.JSONSerializer"
        options["worker_class"] = WORKERS.get(args[0], "console.lib.worker.OrderlyWorker")
        heartbeat.begin()
        super().handle(*args, **options)  # type: ignore[no-untyped-call]


def warm_up_queries() -> None:
    """What Django imports and works out at the first query of a model is there before the fork."""
    from backups.reconcile.loop import WISHES

    with contextlib.suppress(DatabaseError):  # a database that is away is asked by the jobs
        for model in WISHES:
            model._default_manager.claim(uuid.uuid4(), 0)  # nobody's row
    connections.close_all()  # a connection must not be shared with a child
    gc.freeze()  # a child then leaves the pages of what is there alone
