"""What to do with a Schedule that others changed or removed in the cluster: put it as it was, or take it as it is."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.models import User
from accounts.permissions import Verb, require
from backups.actions.policy import locked, save_version
from backups.models import BackupPolicy
from backups.reconcile.policy_reading import read_policy
from backups.velero.schedule import read_schedule
from console.lib.errors import BadInput


@transaction.atomic
def mend_policy(*, by: User, policy: BackupPolicy) -> None:
    """Have the Schedule put again as this console has it. Raises BadInput where nothing differs."""
    row = _drifted(by, policy, Verb.POLICY_UPDATE)
    save_version(row, by)
    audit.record(by=by, verb="policy.mend", target=row, cluster=row.cluster.name)


@transaction.atomic
def adopt_drift(*, by: User, policy: BackupPolicy) -> BackupPolicy | None:
    """Make the policy what the cluster has; None where the cluster has none any more, and the policy is deleted.

    Raises BadInput for what a policy cannot say.
    """
    row = _drifted(by, policy, Verb.POLICY_UPDATE)
    if row.found is None:
        require(by, row, Verb.POLICY_DELETE)
        row.deleted_at, row.next_run_at = timezone.now(), None
        row.save(update_fields=["deleted_at", "next_run_at"])
        audit.record(by=by, verb="policy.adopt", target=row, cluster=row.cluster.name, found="nothing")
        return None
    values = read_policy(row, read_schedule(row.found))
    for name, value in values.items():
        setattr(row, name, value)
    save_version(row, by, *values)
    audit.record(
        by=by, verb="policy.adopt", target=row, cluster=row.cluster.name, changed=[d["what"] for d in row.drift]
    )
    return row


def _drifted(by: User, policy: BackupPolicy, verb: Verb) -> BackupPolicy:
    row = locked(by, policy, verb)
    if not row.drift:
        raise BadInput(f"The cluster has {row} as it is here.")
    return row
