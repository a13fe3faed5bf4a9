"""Object storage for backups, how it was tried, where it is in clusters, and what brings changes there."""

from __future__ import annotations

import uuid

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from console.lib.crypto import EncryptedJSONField
from workspaces.models import Cluster, Project, Wish

LONGEST_PREFIX = 512
LONGEST_OBJECT_NAME = 253  # Kubernetes' own bound


class Provider(models.TextChoices):
    AWS = "aws", "AWS S3 or S3-compatible"
    GCP = "gcp", "Google Cloud"


class SignIn(models.TextChoices):
    """Who comes to the bucket, and with what. Never the console's own identity: tenants could act as each other."""

    KEYS = "keys", "Access keys"
    STS_CLUSTER = "sts-cluster", "STS, by the cluster's own AWS identity"
    STS_KEYS = "sts-keys", "STS, with keys of a cloud account"
    SERVICE_ACCOUNT = "service-account", "Service account"

    @property
    def takes_role(self) -> bool:
        """Whether a role is assumed."""
        return self in ROLE_TAKERS


ROLE_TAKERS = (SignIn.STS_CLUSTER, SignIn.STS_KEYS)


class LocationState(models.TextChoices):
    UNKNOWN = "unknown", "Not checked yet"
    AVAILABLE = "available", "Available"
    UNAVAILABLE = "unavailable", "Unavailable"


class LocationManager(models.Manager["BackupLocation"]):
    """Without those that were deleted: their rows stay only for what refers to them."""

    def get_queryset(self) -> models.QuerySet[BackupLocation]:
        return super().get_queryset().filter(deleted_at=None)


class BackupLocation(models.Model):
    """Object storage for backups, owned by a project. Each cluster writes below `<prefix>/<cluster uid>`."""

    tenant_path = "project__tenant"
    project_path = "project"
    noun = "location"
    listed_path = "backups__workspace"  # a workspace role shows name and health of those it uses

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="locations")
    name = models.CharField("location name", max_length=63)
    provider = models.CharField(max_length=20, choices=Provider.choices, default=Provider.AWS)
    bucket = models.CharField("S3 bucket", max_length=255)
    prefix = models.CharField(max_length=200, blank=True)  # empty: the bucket's root, of what is only read
    read_only = models.BooleanField(default=False)  # opened for the backups that are there already; nothing is written
    region = models.CharField(max_length=63, default="us-east-1", blank=True)  # empty: Google Cloud, which needs none
    s3_url = models.CharField("S3 URL", max_length=300, blank=True)  # empty: AWS itself
    path_style = models.BooleanField("force S3 path style", default=False)
    ca_certificate = models.TextField("certificate", blank=True)
    sign_in = models.CharField(max_length=20, choices=SignIn.choices, default=SignIn.KEYS)
    role_arn = models.CharField("role ARN", max_length=620, blank=True)
    external_id = models.CharField("External ID", max_length=1224, blank=True)
    # {"access_key", "secret_key"}, {"service_account": the key file as text}, or {} for a cluster's own identity
    credentials = EncryptedJSONField(blank=True)
    credentials_version = models.PositiveIntegerField(default=1)  # raised at every change that clusters must learn of
    state = models.CharField(max_length=20, choices=LocationState.choices, default=LocationState.UNKNOWN)
    state_reason = models.TextField(blank=True)
    unavailable_since = models.DateTimeField(null=True, blank=True)
    checked_at = models.DateTimeField(null=True, blank=True)
    next_check_at = models.DateTimeField(default=timezone.now, db_index=True)  # by the console itself
    deleting_at = models.DateTimeField(null=True, blank=True)  # since when it is being taken out of the clusters
    deleted_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = LocationManager()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "name"],
                condition=Q(deleted_at=None),
                name="location_name_once_in_a_project",
                violation_error_message="A location of this name is in the project already.",
            ),
            models.UniqueConstraint(
                fields=["provider", "s3_url", "bucket", "prefix"],
                condition=Q(deleted_at=None, read_only=False),
                name="place_in_storage_once",
                violation_error_message="Another location uses this bucket and prefix already.",
            ),
            models.UniqueConstraint(
                fields=["project", "provider", "s3_url", "bucket", "prefix"],
                condition=Q(deleted_at=None, read_only=True),
                name="place_opened_once_in_a_project",
                violation_error_message="This bucket and prefix are open in the project already.",
            ),
            models.CheckConstraint(
                condition=~Q(prefix="") | Q(read_only=True),
                name="location_never_at_the_bucket_root",
                violation_error_message="Write a prefix: clusters never write at the root of a bucket.",
            ),
            models.CheckConstraint(
                condition=Q(provider=Provider.GCP, sign_in=SignIn.SERVICE_ACCOUNT)
                | (Q(provider=Provider.AWS) & ~Q(sign_in=SignIn.SERVICE_ACCOUNT)),
                name="sign_in_fits_the_provider",
            ),
            models.CheckConstraint(
                condition=(Q(sign_in__in=ROLE_TAKERS) & ~Q(role_arn="") & ~Q(external_id=""))
                | (~Q(sign_in__in=ROLE_TAKERS) & Q(role_arn="", external_id="")),
                name="role_and_external_id_go_together",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """What is sealed no constraint can see."""
        if self.is_checkable and not self.credentials:
            raise ValidationError({"credentials": "Only a cluster signs in without credentials."})

    @property
    def store(self) -> str:
        """What people call this kind of store."""
        if self.provider == Provider.GCP:
            return "Google Cloud"
        return "S3-compatible" if self.s3_url else "AWS S3"

    @property
    def is_checkable(self) -> bool:
        """Whether the console can sign in itself: not with an identity that only a cluster has."""
        return self.sign_in != SignIn.STS_CLUSTER


class CheckState(models.TextChoices):
    REQUESTED = "requested", "Requested"
    COMPLETED = "completed", "Passed"
    FAILED = "failed", "Failed"
    NOT_CHECKABLE = "not_checkable", "Not checkable from here"  # only a cluster can tell


class LocationCheck(Wish):
    """One validation of a location, step by step: of a saved one, or of what a form holds before it is saved."""

    tenant_path = "project__tenant"
    project_path = "project"
    terminal = frozenset({CheckState.COMPLETED, CheckState.FAILED, CheckState.NOT_CHECKABLE})
    job = "backups.jobs.check_location"
    most_attempts = 3

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    location = models.ForeignKey(BackupLocation, null=True, blank=True, on_delete=models.CASCADE, related_name="checks")
    edits = models.ForeignKey(  # the saved location that a draft would change
        BackupLocation, null=True, blank=True, on_delete=models.CASCADE, related_name="+"
    )
    asked_of = models.ForeignKey(  # whose Velero is to say what the console cannot try itself
        Cluster, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    look_only = models.BooleanField(default=False)  # up to the listing, nothing is written
    draft = EncryptedJSONField(null=True, blank=True)  # the form's fields, only before they are saved
    steps = models.JSONField(default=list, blank=True)  # [{"id", "title", "outcome", "cause", "remedy"}]

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"check of {self.location or 'a new location'}"

    @property
    def is_verdict(self) -> bool:
        """Whether it ended with what a cluster's Velero said, because the console could not tell."""
        return self.asked_of is not None and any(step["id"] == "velero" for step in self.steps)


class Access(models.TextChoices):
    READ_WRITE = "ReadWrite"
    READ_ONLY = "ReadOnly"


class PlacedLocation(models.Model):
    """A location in a cluster: one Velero BackupStorageLocation with its Secret.

    ReadWrite where the cluster writes its own backups; ReadOnly where it restores those of `source`.
    """

    tenant_path = "location__project__tenant"
    project_path = "location__project"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    location = models.ForeignKey(BackupLocation, on_delete=models.PROTECT, related_name="placed")
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="placed")
    source = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="+")
    access = models.CharField(max_length=10, choices=Access.choices)
    object_name = models.CharField(max_length=63, unique=True)
    prefix = models.CharField(max_length=LONGEST_PREFIX, blank=True)
    credentials_version = models.PositiveIntegerField(default=0)  # of the Secret that is in the cluster; 0: none yet
    put_at = models.DateTimeField(null=True, blank=True)  # when the Secret there was written last
    behind_since = models.DateTimeField(null=True, blank=True)  # since when the location differs from what is there
    phase = models.CharField(max_length=40, blank=True)  # Velero's own word
    message = models.TextField(blank=True)
    phase_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["location", "cluster", "source"], name="location_in_a_cluster_once"),
            models.CheckConstraint(
                condition=(Q(cluster=F("source")) & Q(access=Access.READ_WRITE))
                | (~Q(cluster=F("source")) & Q(access=Access.READ_ONLY)),
                name="only_the_source_writes",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.location} in {self.cluster}"

    @property
    def is_behind(self) -> bool:
        """Whether the cluster holds what the location was before."""
        return self.credentials_version not in (0, self.location.credentials_version)


class ChangeKind(models.TextChoices):
    ROLL_OUT = "roll_out", "Roll out"
    REMOVE = "remove", "Remove"


class ChangeState(models.TextChoices):
    REQUESTED = "requested", "Requested"
    COMPLETED = "completed", "Completed"
    FAILED = "failed", "Failed"
    FORGOTTEN = "forgotten", "Left there"  # given up, knowing that the objects are still in the cluster


class LocationChange(Wish):
    """Bringing what was edited to one cluster that uses the location, or taking the location out of it."""

    tenant_path = "location__project__tenant"
    project_path = "location__project"
    terminal = frozenset({ChangeState.COMPLETED, ChangeState.FAILED, ChangeState.FORGOTTEN})
    job = "backups.jobs.change_location"

    location = models.ForeignKey(BackupLocation, on_delete=models.CASCADE, related_name="changes")
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=10, choices=ChangeKind.choices)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["location", "cluster"],
                condition=Q(state=ChangeState.REQUESTED),
                name="one_open_change_of_a_location_in_a_cluster",
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.location} in {self.cluster}"
