"""Object storage, as far as the console looks into it itself: trying a location, reading what Velero wrote.

    target       where and with which keys; checked before anything is sent
    probe        reach, sign in, list, write, read, delete: each step with cause and remedy
    scan         what Veleros wrote here, page by page
    occupation   does somebody's Velero write here already
    reading      objects, gzipped logs and JSON, all bounded
    contents     what a backup holds, out of its list and its tarball
    tar          the files in a tarball, bounded
    link         one object, by a link that a cluster's Velero signed
    layout       where Velero puts what
    trouble      what can go wrong, as sentences and as `console.lib.errors`
    store        what a kind of store must do; `s3` does it, the only door to boto3

Pure: knows neither Django nor our rows; raises only `console.lib.errors`. The SDK is imported at the first call.
"""

from __future__ import annotations

from backups.storage.contents import Item, archived_items, find_object, listed_items
from backups.storage.layout import (
    backup_contents_key,
    backup_folder,
    backup_log_key,
    backup_metadata_key,
    backup_resource_list_key,
    backup_results_key,
    backup_volumes_key,
    backups_folder,
    pod_volume_backups_key,
    restore_folder,
    restore_log_key,
    restore_resource_list_key,
    restore_results_key,
)
from backups.storage.occupation import Occupation, occupied
from backups.storage.probe import ProbeStep, probe
from backups.storage.reading import (
    anything_below,
    fetch_backup_object,
    fetch_pod_volume_backups,
    gzip_json,
    gzip_lines,
    open_object,
    read_object,
    size_below,
)
from backups.storage.scan import (
    FolderPage,
    FoundFolder,
    backup_folders,
    can_be_a_backup,
    can_be_a_place,
    folders_below,
    is_place,
)
from backups.storage.target import StorageTarget

__all__ = [
    "FolderPage",
    "FoundFolder",
    "Item",
    "Occupation",
    "ProbeStep",
    "StorageTarget",
    "anything_below",
    "archived_items",
    "backup_contents_key",
    "backup_folder",
    "backup_folders",
    "backup_log_key",
    "backup_metadata_key",
    "backup_resource_list_key",
    "backup_results_key",
    "backup_volumes_key",
    "backups_folder",
    "can_be_a_backup",
    "can_be_a_place",
    "fetch_backup_object",
    "fetch_pod_volume_backups",
    "find_object",
    "folders_below",
    "gzip_json",
    "gzip_lines",
    "is_place",
    "listed_items",
    "occupied",
    "open_object",
    "pod_volume_backups_key",
    "probe",
    "read_object",
    "restore_folder",
    "restore_log_key",
    "restore_resource_list_key",
    "restore_results_key",
    "size_below",
]
