"""The doors by which an address comes into the console, each used as the console itself does: an action makes the row,
what a worker runs carries it out."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from accounts.models import User
    from backups.models import LocationCheck
    from workspaces.models import Project

Door = Callable[["Visitor", str], bool]


@dataclass(frozen=True)
class Visitor:
    """Who asks for what. Each door gives whether it was refused, or ended without success.

    `google_at`: the URL of a server on this machine that the site owner has named as Google's.
    """

    by: User
    project: Project
    google_at: str

    @classmethod
    def made(cls, google_at: str) -> Visitor:
        """A Tenant Admin and a project."""
        from accounts.actions.tenant import add_tenant_admin, create_tenant
        from tests.people import PASSWORD
        from workspaces.actions.project import create_project

        tenant = create_tenant(by=None, name="Harbor")
        alice = add_tenant_admin(by=None, tenant=tenant, email="alice@harbor.example", password=PASSWORD)
        return cls(alice, create_project(by=None, tenant=tenant, name="Default"), google_at)

    def cluster(self, netloc: str, *, ca: bytes = b"") -> bool:
        """A new cluster: its kubeconfig is tried."""
        from backups import jobs
        from console.lib.errors import ConsoleError
        from workspaces.actions.cluster import request_check
        from workspaces.models.cluster import CheckState

        try:
            check = request_check(by=self.by, project=self.project, kubeconfig=kubeconfig(f"https://{netloc}", ca))
        except ConsoleError:
            return True
        jobs.check_cluster(str(check.pk), check.attempt)
        check.refresh_from_db()
        return bool(check.state == CheckState.FAILED)

    def registered(self, netloc: str) -> bool:
        """A cluster that is registered: what its name or number leads to is judged again at every connect."""
        from console.lib.errors import ConsoleError
        from workspaces.connections import connected
        from workspaces.models import Cluster

        stored = {"kubeconfig": kubeconfig(f"https://{netloc}"), "context": ""}
        try:
            with connected(Cluster(project=self.project, name="x", uid="x", kubeconfig=stored)):
                return False
        except ConsoleError:
            return True

    def s3(self, netloc: str, *, scheme: str = "http", **fields: Any) -> bool:
        """A new location: its S3 URL is tried."""
        place = {"s3_url": f"{scheme}://{netloc}", "bucket": "bucket", "prefix": "team", "region": "us-east-1"}
        keys = {"credentials": {"access_key": "AKIATEST", "secret_key": "secret"}, "path_style": True}
        return self._located(place | keys | fields)

    def read(self, netloc: str) -> bool:
        """A saved location: an object is read."""
        from backups.reconcile.location import target_of
        from backups.storage import read_object
        from console.lib import outbound
        from console.lib.errors import ConsoleError

        keys = {"access_key": "AKIATEST", "secret_key": "secret"}
        place = {"bucket": "bucket", "prefix": "team", "s3_url": f"http://{netloc}", "path_style": True}
        try:
            read_object(target_of(place | {"credentials": keys}), "key", outbound.policy(), max_bytes=10)
        except ConsoleError:
            return True
        return False

    def bucket(self, netloc: str) -> bool:
        """The bucket's name, which is put in front of the URL's host where path style is off."""
        bucket, _, host = netloc.partition(".")
        return self.s3(host, bucket=bucket, path_style=False)

    def token(self, netloc: str) -> bool:
        """Google Cloud, which can be reached: the key file says where tokens come from."""
        from django.test import override_settings

        with override_settings(GCS_ENDPOINT_URL=self.google_at):
            return self.google(token_uri=f"https://{netloc}/token")

    def google(self, netloc: str = "", *, token_uri: str = "https://oauth2.googleapis.com/token") -> bool:
        """A location in Google Cloud itself is tried."""
        from tests.fakes.gcs import key_file

        place = {"provider": "gcp", "sign_in": "service-account", "bucket": "bucket", "prefix": "team"}
        return self._located(place | {"credentials": {"service_account": key_file(token_uri)}})

    def aws(self, netloc: str = "") -> bool:
        """A location at AWS itself is tried."""
        return self.s3("", s3_url="", path_style=False)

    def role(self, netloc: str = "") -> bool:
        """One whose keys assume a role."""
        role = {"role_arn": "arn:aws:iam::123456789012:role/velero", "external_id": "harbor"}
        return self.s3("", sign_in="sts-keys", **role, s3_url="")

    def stand_in(self, netloc: str) -> bool:
        """The site owner's settings for STS and Google Cloud."""
        from django.test import override_settings

        url = f"http://{netloc}"
        with override_settings(AWS_ENDPOINT_URL_STS=url, GCS_ENDPOINT_URL=url):
            return self.google() and self.role()

    def _located(self, fields: dict[str, Any]) -> bool:
        from backups import jobs
        from backups.actions.location import request_check
        from backups.models import CheckState
        from console.lib.errors import ConsoleError

        try:
            check: LocationCheck = request_check(by=self.by, project=self.project, **fields)
        except ConsoleError:
            return True
        jobs.check_location(str(check.pk), check.attempt)
        check.refresh_from_db()
        return bool(check.state == CheckState.FAILED)


def kubeconfig(server: str, ca: bytes = b"") -> str:
    """A kubeconfig with a token; `ca` is PEM."""
    cluster = {"server": server} | ({"certificate-authority-data": base64.b64encode(ca).decode()} if ca else {})
    return json.dumps(
        {
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": {"token": "a-token"}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        }
    )


DOORS: dict[str, Door] = {
    "cluster_server": Visitor.cluster,
    "registered_cluster": Visitor.registered,
    "s3_url": Visitor.s3,
    "s3_url_https": partial(Visitor.s3, scheme="https"),
    "s3_url_read_from": Visitor.read,
    "token_uri": Visitor.token,
    "stand_in_for_clouds": Visitor.stand_in,
}
