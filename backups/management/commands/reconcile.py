"""`manage.py reconcile`: runs the reconciler until SIGTERM or Ctrl-C."""

from __future__ import annotations

import logging
import os
import signal
from typing import Any

from django.core.management.base import BaseCommand

from backups.reconcile.loop import Reconciler
from console.lib import heartbeat


class Command(BaseCommand):
    help = "Makes rows agree with clusters: watches them, drives due rows again. Several may run."

    def handle(self, *args: Any, **options: Any) -> None:
        reconciler = Reconciler()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: reconciler.stopping.set())
        heartbeat.begin()
        reconciler.run()
        logging.shutdown()
        os._exit(0)  # threads that wait for an answer of a cluster must not hold up the end
