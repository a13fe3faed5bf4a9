"""Where backups go, what was backed up, what was restored. Rows are the truth; clusters are made to agree."""

from backups.models.backup import NAMESPACES_ALL, Backup, Origin, is_dns_label
from backups.models.found import FoundPlace, LocationScan
from backups.models.location import (
    ROLE_TAKERS,
    Access,
    BackupLocation,
    ChangeKind,
    ChangeState,
    CheckState,
    LocationChange,
    LocationCheck,
    LocationManager,
    LocationState,
    PlacedLocation,
    Provider,
    SignIn,
)
from backups.models.policy import (
    BackupPolicy,
    PolicyChange,
    PolicyChangeKind,
    PolicyChangeState,
    PolicyManager,
    Timing,
)
from backups.models.reading import Reading, ReadingKind, VolumePreview
from backups.models.restore import ExistingObjects, Restore
from backups.models.wish import ClusterResources, VeleroWish

__all__ = [
    "NAMESPACES_ALL",
    "ROLE_TAKERS",
    "Access",
    "Backup",
    "BackupLocation",
    "BackupPolicy",
    "ChangeKind",
    "ChangeState",
    "CheckState",
    "ClusterResources",
    "ExistingObjects",
    "FoundPlace",
    "LocationChange",
    "LocationCheck",
    "LocationManager",
    "LocationScan",
    "LocationState",
    "Origin",
    "PlacedLocation",
    "PolicyChange",
    "PolicyChangeKind",
    "PolicyChangeState",
    "PolicyManager",
    "Provider",
    "Reading",
    "ReadingKind",
    "Restore",
    "SignIn",
    "Timing",
    "VeleroWish",
    "VolumePreview",
    "is_dns_label",
]
