"""Which kind of object a warning or an error of Velero is about, as far as its text says so."""

from __future__ import annotations

import re

_SAYS = (
    re.compile(r"\bresource: /(\S+)"),  # backups: pkg/util/logging/log_counter_hook.go, Fire
    re.compile(r"could not restore, ([A-Za-z]\w*)[ :]"),  # pkg/restore/restore.go:1936, 1952
    re.compile(r"error restoring (?:additional item )?([a-z][\w.-]*)/"),  # pkg/restore/restore.go:1712, 1979
)


def kind_of(text: str) -> str:
    """`pods`, `deployments.apps`, `ConfigMap`: Velero's own word; empty when it names none."""
    return next((found[1] for says in _SAYS if (found := says.search(text))), "")
