"""Clusters and locations on real servers: what is right passes, what is wrong is refused with its reason."""

from __future__ import annotations

import pytest
import yaml

from backups.models import LocationCheck
from console.lib.errors import BadInput
from tests.e2e.conftest import World, ended, unique
from workspaces.actions.cluster import register_cluster, request_check, request_recheck
from workspaces.models import Cluster, ClusterCheck

pytestmark = [pytest.mark.sandbox, pytest.mark.slow]


def failed_step(check: LocationCheck | ClusterCheck) -> str:
    return next(step["id"] for step in check.steps if step["outcome"] == "fail")


class TestLocation:
    def test_every_step_passes(self, world: World) -> None:
        check = world.try_location()
        assert (check.state, check.message) == ("completed", "")
        unusual = {step["id"]: step["outcome"] for step in check.steps if step["outcome"] != "pass"}
        assert unusual == {"tls": "warning"}  # the store of the sandbox speaks plain http here

    def test_tls_under_a_private_authority(self, world: World) -> None:
        """The console and Velero both trust the certificate that was pasted."""
        s3 = world.state.s3
        assert s3 is not None
        location = world.new_location(s3_url=s3.tls_url, ca_certificate=s3.ca_file.read_text())
        backup = ended(world.back_up(location=location))
        assert backup.state == "completed", backup.message
        restore = ended(world.restore(backup, world.fleet.west))
        assert restore.state == "completed", restore.message

    def test_tls_under_an_unknown_authority(self, world: World) -> None:
        s3 = world.state.s3
        assert s3 is not None
        check = world.try_location(s3_url=s3.tls_url)
        assert (check.state, failed_step(check)) == ("failed", "tls")
        assert "Certificate" in check.message

    def test_a_wrong_secret(self, world: World) -> None:
        s3 = world.state.s3
        assert s3 is not None
        wrong = {"access_key": s3.keys()[0], "secret_key": "planted-wrong-secret"}
        check = world.try_location(credentials=wrong)
        assert (check.state, failed_step(check)) == ("failed", "sign_in")
        assert "secret key" in check.message
        assert "planted" not in check.message + repr(check.steps)

    def test_an_unknown_access_key(self, world: World) -> None:
        check = world.try_location(credentials={"access_key": "AKIANOBODY", "secret_key": "planted-secret"})
        assert (check.state, failed_step(check)) == ("failed", "sign_in")

    def test_a_missing_bucket(self, world: World) -> None:
        check = world.try_location(bucket="nobodys-bucket")
        assert (check.state, failed_step(check)) == ("failed", "bucket")
        assert "nobodys-bucket" in check.message

    @pytest.mark.parametrize(
        "url", ["http://169.254.169.254", "http://[fe80::1]:9000", "http://metadata.google.internal"]
    )
    def test_metadata_and_link_local_addresses(self, world: World, url: str) -> None:
        check = world.try_location(s3_url=url)
        assert (check.state, failed_step(check)) == ("failed", "endpoint")
        assert check.message

    def test_nobody_listens_there(self, world: World) -> None:
        check = world.try_location(s3_url="http://127.0.0.1:1")
        assert (check.state, failed_step(check)) == ("failed", "endpoint")
        assert "Nothing listens" in check.message

    def test_where_a_velero_writes_already(self, world: World) -> None:
        """Above a cluster's leaf and on it: both sides would go Unavailable."""
        fleet = world.fleet
        on_it = f"{fleet.location.prefix}/{fleet.east.uid}"
        for prefix in (on_it, f"{on_it}/backups"):
            check = world.try_location(prefix=prefix)
            assert (check.state, failed_step(check)) == ("failed", "unoccupied"), prefix


class TestCluster:
    def kubeconfig(self, world: World, **user: object) -> str:
        text = world.state.clusters["harbor-east"].kubeconfig.read_text()
        document = yaml.safe_load(text)
        document["users"][0]["user"] |= user
        return str(yaml.safe_dump(document))

    def test_what_was_found_in_a_registered_one(self, world: World) -> None:
        facts = Cluster.objects.get(pk=world.fleet.east.pk).facts
        assert facts["velero"]["version"].startswith("v1.")
        assert facts["missing_rights"] == []
        assert {"shop", "intranet"} <= set(facts["namespaces"])
        assert facts["state"] == "healthy"

    def test_checked_again(self, world: World) -> None:
        check = ended(request_recheck(by=world.fleet.admin, cluster=world.fleet.west))
        assert (check.state, check.message) == ("completed", "")
        assert [step["outcome"] for step in check.steps] == ["pass"] * 6

    def test_one_that_runs_a_program_is_refused(self, world: World) -> None:
        text = self.kubeconfig(world, exec={"apiVersion": "client.authentication.k8s.io/v1", "command": "/bin/true"})
        before = ClusterCheck.objects.count()
        with pytest.raises(BadInput, match="exec") as caught:
            request_check(by=world.fleet.admin, project=world.fleet.east.project, kubeconfig=text)
        assert caught.value.field == "kubeconfig"
        assert ClusterCheck.objects.count() == before

    def test_the_same_cluster_twice(self, world: World) -> None:
        text, project = self.kubeconfig(world), world.fleet.east.project
        check = ended(request_check(by=world.fleet.admin, project=project, kubeconfig=text))
        assert check.state == "failed"
        assert "registered in this project already, as harbor-east" in check.message
        with pytest.raises(BadInput):
            register_cluster(by=world.fleet.admin, check=check, name=unique("twin"))

    def test_credentials_that_are_not_accepted(self, world: World) -> None:
        nobody = {"token": "planted-nobody", "client-certificate-data": None, "client-key-data": None}
        text = yaml.safe_load(self.kubeconfig(world, **nobody))
        user = text["users"][0]["user"]
        text["users"][0]["user"] = {key: value for key, value in user.items() if value is not None}
        check = ended(
            request_check(by=world.fleet.admin, project=world.fleet.east.project, kubeconfig=yaml.safe_dump(text))
        )
        assert (check.state, check.steps[-1]["outcome"]) == ("failed", "fail")
        assert "does not accept the credentials" in check.message
        assert "planted" not in check.message

    def test_a_server_that_is_not_there(self, world: World) -> None:
        document = yaml.safe_load(self.kubeconfig(world))
        document["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
        project = world.fleet.east.project
        check = ended(request_check(by=world.fleet.admin, project=project, kubeconfig=yaml.safe_dump(document)))
        assert (check.state, failed_step(check)) == ("failed", "reach")
        assert "refuses the connection" in check.message


def test_a_name_that_is_taken(world: World) -> None:
    backup = ended(world.back_up())
    with pytest.raises(BadInput, match="has a backup of this name already"):
        world.back_up(name=backup.name)
