"""Velero's own words, put into sentences a person can act on. The original is always kept beside them.

Each entry: where the text comes from (files and lines are Velero 1.18.3's), what to look for (case does not matter),
what it means, what to do. The first that fits wins, so the special come before the general.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from backups.velero.reading import shown

LONGEST_SEARCHED = 4_000
_CHECK_KEYS = "Enter the keys again in the backup location's settings."
_CHECK_LOCATION = "Open the backup location, look at its status and validate it."


@dataclass(frozen=True)
class Explanation:
    """`sentence` says what is wrong, `remedy` what to do (may be empty), `original` is Velero's text, cut."""

    sentence: str
    remedy: str
    original: str
    known: bool = True


@dataclass(frozen=True)
class _Meaning:
    pattern: re.Pattern[str]
    sentence: str
    remedy: str


def _when(pattern: str, sentence: str, remedy: str) -> _Meaning:
    return _Meaning(re.compile(pattern, re.IGNORECASE | re.DOTALL), sentence, remedy)


_MEANINGS = (
    # Signing in to the bucket
    # Amazon S3 API, Error Responses
    _when(r"SignatureDoesNotMatch", "The secret key of the backup location is wrong.", _CHECK_KEYS),
    # Amazon S3 API, Error Responses
    _when(r"InvalidAccessKeyId", "The store does not know the access key of the backup location.", _CHECK_KEYS),
    # Amazon S3 API, Error Responses; velero issue 8173 (assumed roles of file-system backups)
    _when(
        r"ExpiredToken|TokenRefreshRequired|security token .* expired",
        "The temporary keys of the backup location have run out.",
        "Enter keys that do not expire, or look at the role's longest session.",
    ),
    # Amazon S3 API, Error Responses
    _when(
        r"RequestTimeTooSkewed",
        "The clock of the machine that runs Velero is wrong, so the store refuses its requests.",
        "Set the clocks of the cluster's nodes (NTP).",
    ),
    # AWS STS API, AssumeRole, Errors
    _when(
        r"AssumeRole.*AccessDenied|not authorized to perform: sts:AssumeRole",
        "Velero may not assume the role of the backup location.",
        "Compare the role's trust policy with the one shown beside the location: account and External ID must match.",
    ),
    # AWS STS API, AssumeRole, Errors
    _when(
        r"DurationSeconds exceeds|MaxSessionDuration",
        "The role of the backup location does not allow sessions of one hour.",
        "Set the role's maximum session duration to one hour or more.",
    ),
    # aws-sdk-go-v2, credentials/ec2rolecreds and feature/ec2/imds
    _when(
        r"no EC2 IMDS role found|ec2imds: GetMetadata|EC2MetadataError",
        "The cluster has no AWS identity of its own with which Velero could assume the role.",
        "Launch its nodes with an instance profile and let pods reach the metadata service (hop limit 2), "
        "or use keys of a cloud account.",
    ),
    # golang.org/x/oauth2, RetrieveError; RFC 6749, 5.2
    _when(
        r"invalid_grant|oauth2: cannot fetch token",
        "Google does not accept the service account's key of the backup location.",
        "Make a new JSON key of the service account and enter it in the backup location's settings.",
    ),
    # Cloud Storage JSON API, 403 forbidden
    _when(
        r"does not have storage\.\w+\.\w+ access",
        "The service account of the backup location may not do what Velero needs.",
        "Give it the role Storage Admin (roles/storage.admin) on the bucket.",
    ),
    _when(
        # internal/credentials/file_store.go, Path: the file is emptied, then written, while plugins may read it
        r"failed to get shared config profile",
        "Velero read its file with the location's keys while it was writing it, so nothing was done.",
        "Start it again.",
    ),
    # The bucket
    # Amazon S3 API, Error Responses; cloud.google.com/go/storage, ErrBucketNotExist
    _when(
        r"NoSuchBucket|bucket .*does ?n.t exist|storage: bucket doesn't exist",
        "The bucket does not exist.",
        "Create it, or correct the bucket's name with a new backup location.",
    ),
    # Amazon S3 API, Error Responses
    _when(
        r"PermanentRedirect|BucketRegionError|AuthorizationHeaderMalformed|IllegalLocationConstraint|301 Moved",
        "The bucket is in another region than the backup location says.",
        "Validate the location: it names the right region.",
    ),
    # aws-sdk-go-v2, MissingRegionError; velero-plugin-for-aws object_store.go, Init
    _when(
        r"Missing ?Region|unable to determine bucket's region",
        "The backup location has no region.",
        "Add the region to the location's configuration.",
    ),
    # Amazon S3 API, Error Responses
    _when(
        r"AccessDenied|\b403\b|Forbidden.*(bucket|object)",
        "The keys of the backup location do not allow what Velero needs.",
        "Compare the rights with the policy shown beside the location form.",
    ),
    # Amazon S3 API, Error Responses
    _when(r"SlowDown|TooManyRequests|\b503\b", "The store asked Velero to slow down.", "Try again in a few minutes."),
    # TLS and the network
    # Go crypto/x509, UnknownAuthorityError
    _when(
        r"x509: certificate signed by unknown authority|unknown certificate authority",
        "The cluster does not trust the certificate of the store.",
        "Put the certificate of its authority (PEM) into the backup location.",
    ),
    # Go crypto/x509, HostnameError
    _when(
        r"x509: certificate (is valid for|is not valid for)|x509: cannot validate certificate for",
        "The certificate of the store is made out for another name than the S3 URL.",
        "Use the name in the certificate as S3 URL, or have the certificate renewed with this name.",
    ),
    # Go crypto/x509, CertificateInvalidError
    _when(r"x509: certificate has expired", "The certificate of the store is not valid today.", "Have it renewed."),
    # Go net/http, Transport; crypto/tls, RecordHeaderError
    _when(
        r"server gave HTTP response to HTTPS client|first record does not look like a TLS handshake",
        "The S3 URL says https, but the store speaks plain http on that port.",
        "Correct the S3 URL with a new backup location.",
    ),
    # Go net, DNSError
    _when(
        r"no such host|server misbehaving",
        "The cluster cannot resolve the name of the store.",
        "Check the S3 URL, and that the cluster's DNS knows the name.",
    ),
    # Go net, OpError
    _when(
        r"connection refused|no route to host|network is unreachable|i/o timeout|context deadline exceeded.*dial",
        "The cluster cannot reach the store.",
        "Check that the store runs and that the cluster's network may reach it.",
    ),
    # The location in the cluster
    # pkg/persistence/object_store.go:236
    _when(
        r"invalid top-level director",
        "There are folders at this place of the bucket that are not Velero's.",
        "Use a backup location with a prefix of its own, where nothing else writes.",
    ),
    # pkg/plugin/framework/validation.go:50
    _when(
        r"config has invalid keys",
        "The configuration of the backup location has a setting that Velero's plugin does not know.",
        "Correct the configuration; a newer plugin may know more settings.",
    ),
    # pkg/plugin/clientmgmt/process/registry.go:252
    _when(
        r"unable to locate ObjectStore plugin|unable to locate .* plugin",
        "Velero in this cluster lacks the plugin for this kind of store.",
        "Install Velero again with the plugin.",
    ),
    # internal/credentials/file_store.go:69
    _when(
        r"unable to get (key for )?secret|error getting credential|Secret \\?\"?.*not found",
        "The Secret with the keys of the backup location is missing in the cluster.",
        "Validate the backup location for this cluster: the console writes it again.",
    ),
    # pkg/controller/backup_controller.go:471, backup_deletion_controller.go:201
    _when(
        r"currently in read-only mode|is in read-only mode|location .*read-only",
        "In this cluster the backup location may only be read.",
        "Use the cluster's own backup location.",
    ),
    # pkg/controller/backup_controller.go:477, restore_controller.go:399
    _when(
        r"is in Unavailable status|BSL .* is unavailable|location .* is unavailable",
        "Velero could not use the backup location at that moment.",
        _CHECK_LOCATION,
    ),
    # pkg/controller/backup_controller.go:455
    _when(
        r"backup storage location.*(does not exist|not found)|backupstoragelocations?\.velero\.io \S+ not found",
        "The backup location is not known in this cluster.",
        "Validate it for this cluster, then try again.",
    ),
    # Backups
    # pkg/controller/backup_controller.go:779; velero issue 5509
    _when(
        r"backup already exists in object storage",
        "A backup of this name is in the bucket already.",
        "Choose another name; somebody else may be writing at the same place.",
    ),
    # pkg/cmd/server/server.go:1001
    _when(
        r"found a backup with status .* during the server starting",
        "Velero was restarted while this backup ran, and gave it up.",
        "Start it again. If it happens often, look at the memory of the velero Deployment.",
    ),
    # pkg/controller/backup_controller.go:692
    _when(
        r"provider \S+ has more than one possible volume snapshot location",
        "The cluster has several places for volume snapshots and Velero cannot choose.",
        "Remove the superfluous VolumeSnapshotLocations or set a default in the cluster.",
    ),
    # pkg/controller/backup_controller.go:642
    _when(
        r"VolumeSnapshotLocation CRD for the location",
        "The place for volume snapshots named in the backup does not exist in this cluster.",
        "Create the VolumeSnapshotLocation, or back up without disks.",
    ),
    # pkg/controller/backup_controller.go:523
    _when(
        r"old filter parameters",
        "Old and new kinds of filters were mixed in the backup.",
        "Use one kind; the cluster's global policies count, too.",
    ),
    # pkg/controller/backup_controller.go:604, restore_controller.go
    _when(
        r"invalid (restore )?resource policies",
        "The volume policy of this cluster cannot be read.",
        "Check the ConfigMap it names.",
    ),
    # pkg/backup/actions/csi/pvc_action.go:239; pkg/util/csi/volume_snapshot.go:452
    _when(
        r"failed to get VolumeSnapshotClass|error getting volumesnapshotclass|volumesnapshotclass.*not found",
        "There is no snapshot class for the volumes' driver.",
        "Label a VolumeSnapshotClass with velero.io/csi-volumesnapshot-class=true.",
    ),
    # pkg/nodeagent/node_agent.go:153; pkg/exposer/csi_snapshot.go:432; pkg/backup/actions/csi/pvc_action.go:344
    _when(
        r"(node-agent|daemonset).*(not (found|running|installed)|is not)",
        "The volumes need Velero's node agent, which does not run in this cluster.",
        "Install Velero again with the node agent.",
    ),
    # pkg/podvolume/backupper.go:421
    _when(
        r"timed out waiting for all PodVolume(Backup|Restore)s",
        "The data of the volumes took longer than Velero waits (4 hours).",
        "Raise --fs-backup-timeout of the Velero server, or back up less at once.",
    ),
    # pkg/repository/backup_repo_op.go:83; pkg/repository/provider/unified_repo.go:141
    _when(
        r"backup repository is not ready|error to (init|connect) backup repo",
        "Velero could not open its repository of volume data in the bucket.",
        "Look at the BackupRepository objects in the cluster: the password or the keys of the location have changed.",
    ),
    # pkg/util/csi/volume_snapshot.go:714
    _when(
        r"Timed out awaiting reconciliation of volumesnapshot",
        "The storage driver did not make the snapshot in time (10 minutes).",
        "Look at the VolumeSnapshot's events, and whether the driver's snapshot controller runs.",
    ),
    # pkg/util/kube/pvc_pv.go:428
    _when(
        r"has no volume backing this claim|is not bound to a volume",
        "A claim has no volume yet, so there was nothing to back up for it.",
        "Find out why it waits (kubectl describe pvc), or delete the claim if nothing uses it.",
    ),
    # pkg/podvolume/backupper.go:453
    _when(
        r"pod volume backup failed",
        "The files of a volume could not be backed up.",
        "Read the reason below; the log of the node agent on that node says more.",
    ),
    # internal/hook/item_hook_handler.go:239
    _when(
        r"error executing hook|hook .* in container .* expired before executing",
        "A command that was to run in a pod before or after failed.",
        "Run the command in the pod by hand; it is named in the pod's annotations or in the policy.",
    ),
    # pkg/backup/item_backupper.go:722
    _when(
        r"error taking snapshot of volume|error getting volume snapshotter",
        "The cloud refused a volume's snapshot.",
        "Compare the rights of the location's keys with the policy shown beside its form; read the reason below.",
    ),
    # Restores
    # pkg/restore/actions/pod_volume_restore_action.go:63; velero issue 9251
    _when(
        r"deployments\.apps \\?\"velero\\?\" not found",
        "The target cluster has no Deployment velero, which every restore needs.",
        "Install Velero again; a Deployment without replicas is enough.",
    ),
    # pkg/cmd/server/server.go:1026
    _when(
        r"found a restore with status .* during the server starting",
        "Velero was restarted while this restore ran, and gave it up.",
        "Start it again; what was restored already is left as it is.",
    ),
    # pkg/controller/restore_controller.go:394
    _when(
        r"error retrieving backup|backups?\.velero\.io \S+ not found",
        "The backup was not known in the target cluster when the restore began.",
        "Start the restore again.",
    ),
    # pkg/controller/restore_controller.go:427
    _when(
        r"failed to get resource modifiers configmap|illegal resource modifiers|modifiers provided in configmap",
        "The storage-class mapping of this restore is missing in the target cluster.",
        "Start the restore again.",
    ),
    # pkg/restore/restore.go:1936
    _when(
        r"could not restore, .* already exists.*in-cluster version is different",
        "An object was there already and differs, so it was left as it is.",
        "To change it, restore again with “update existing objects”, or remove it before.",
    ),
    # k8s.io/apimachinery, NoKindMatchError; apierrors.NewGenericServerResponse
    _when(
        r"no matches for kind|the server could not find the requested resource|not present in the (target )?cluster",
        "The target cluster does not know a kind of object that is in the backup.",
        "Install what brings this kind (an operator or its resource definitions), then restore again.",
    ),
    # pkg/restore/actions/change_storageclass_action.go:157
    _when(
        r"storageclass(es)?\.storage\.k8s\.io \S+ not found",
        "A storage class that the volumes use does not exist in the target cluster.",
        "Restore again with a storage-class mapping.",
    ),
    # k8s.io/apiserver, admission/plugin/webhook/errors
    _when(
        r"admission webhook .* denied",
        "A rule of the target cluster refused an object.",
        "Read the reason below; the cluster's administrator set this rule.",
    ),
    # k8s.io/apiserver, admission/plugin/resourcequota
    _when(r"exceeded quota", "A quota of the target cluster is used up.", "Raise the quota or restore less at once."),
    # k8s.io/kubernetes, registry/core/service/ipallocator and portallocator
    _when(
        r"provided (port|IP) is already allocated|nodePort.*already allocated",
        "A Service wants a node port or an address that another one in the target cluster has.",
        "Restore again without “preserve node ports”, or free it before.",
    ),
    # k8s.io/apimachinery, api/validation, ValidateImmutableField
    _when(
        r"field is immutable",
        "An object was there already, and what differs in it cannot be changed.",
        "Delete the object in the target cluster, then restore again.",
    ),
    # k8s.io/apiserver, admission/plugin/namespace/lifecycle; pkg/util/kube/utils.go:125
    _when(
        r"because it is being terminated|timed out waiting for terminating namespace",
        "A namespace of the target cluster is still being deleted.",
        "Wait until it is gone, then restore again.",
    ),
)


def explain(text: str) -> Explanation:
    """What `text` (a validation error, failure reason or location message) means; unknown text speaks for itself."""
    for meaning in _MEANINGS:
        if meaning.pattern.search(text[:LONGEST_SEARCHED]):
            return Explanation(meaning.sentence, meaning.remedy, shown(text))
    return Explanation(shown(text) or "Velero gave no reason.", "", shown(text), known=False)


def explain_all(texts: Iterable[str]) -> tuple[Explanation, ...]:
    """One explanation for each different meaning, in the order met."""
    found: dict[str, Explanation] = {}
    for text in texts:
        explanation = explain(text)
        found.setdefault(explanation.sentence, explanation)
    return tuple(found.values())
