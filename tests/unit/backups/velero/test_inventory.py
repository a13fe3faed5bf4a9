"""What is read of a cluster to foretell what becomes of its volumes: bounded, and honest about what it may not read."""

from __future__ import annotations

from typing import Any

import pytest

from backups.velero import inventory as inventories
from backups.velero.inventory import Inventory, Settings
from console.lib.errors import Missing, NotPermitted
from tests.unit.backups.velero.test_volumes import (
    EBS,
    PLAIN,
    SERVED,
    Json,
    claim,
    location,
    pod,
    snapshot_class,
    volume,
)


class Api:
    """Lists by path; `denied` and `missing` are words in paths."""

    def __init__(self, lists: dict[str, list[Json]], deployment: Json | None = None, **refused: list[str]) -> None:
        self.lists, self.deployment, self.refused = lists, deployment, refused
        self.asked: list[str] = []

    def list(self, path: str, *, limit: int = 500, **params: Any) -> Any:
        self._check(path)
        return iter(self.lists.get(path + params.get("labelSelector", ""), []))

    def get(self, path: str, **params: Any) -> Json:
        self._check(path)
        if self.deployment is None:
            raise Missing("Not there.")
        return self.deployment

    def _check(self, path: str) -> None:
        self.asked.append(path)
        for word, error in (("denied", NotPermitted), ("missing", Missing)):
            if any(each in path for each in self.refused.get(word, [])):
                raise error(f"{path} is {word}.")


def deployment(*args: str, replicas: int = 1) -> Json:
    containers = [{"command": ["/velero"], "args": ["server", *args]}]
    return {"spec": {"replicas": replicas, "template": {"spec": {"containers": containers}}}}


def look(api: Api, namespaces: tuple[str, ...] = ()) -> Inventory:
    return inventories.look(api, "velero", namespaces)  # type: ignore[arg-type]  # as much of it as is used


class TestInventory:
    def test_all_of_it(self) -> None:
        agent = {"spec": {"nodeName": "node-1"}, "status": {"phase": "Running"}}
        waiting = {"spec": {"nodeName": "node-2"}, "status": {"phase": "Pending"}}
        api = Api(
            {
                "/api/v1/persistentvolumeclaims": [claim()],
                "/api/v1/persistentvolumes": [volume(EBS)],
                "/api/v1/pods": [pod(), {"metadata": {"name": "without a claim"}}],
                "/api/v1/namespaces/velero/podsrole=node-agent": [agent, waiting],
                "/apis/storage.k8s.io/v1/storageclasses": [{"metadata": {"name": "fast"}, "provisioner": "x"}],
                "/apis/snapshot.storage.k8s.io/v1/volumesnapshotclasses": [snapshot_class("a")],
                "/apis/velero.io/v1/namespaces/velero/volumesnapshotlocations": [location("aws")],
            },
            deployment("--features=EnableCSI"),
        )
        found = look(api)
        assert (len(found.claims), list(found.volumes), len(found.pods)) == (1, ["pv-orders"], 1)
        assert (found.agents, list(found.classes), found.unseen) == (frozenset({"node-1"}), ["fast"], {})
        assert found.settings == SERVED
        assert (len(found.snapshot_classes), len(found.snapshot_locations)) == (1, 1)

    def test_namespaces_are_asked_one_by_one_while_they_are_few(self) -> None:
        few, many = Api({}, deployment()), Api({}, deployment())
        look(few, ("a", "b"))
        look(many, tuple(str(number) for number in range(inventories.MOST_NAMESPACES + 1)))
        assert "/api/v1/namespaces/a/pods" in few.asked and "/api/v1/pods" not in few.asked
        assert "/api/v1/pods" in many.asked

    def test_what_may_not_be_listed_is_said(self) -> None:
        found = look(Api({}, deployment(), denied=["pods", "persistentvolumes", "deployments"]))
        assert found.unseen["pods"] == "Drydock's account may not list pods."
        assert found.unseen.keys() == {"pods", "persistentvolumes", "node agents", "settings"}

    def test_without_claims_there_is_nothing_to_say(self) -> None:
        with pytest.raises(NotPermitted, match="may not list persistentvolumeclaims"):
            look(Api({}, deployment(), denied=["persistentvolumeclaims"]))

    def test_a_cluster_without_snapshot_classes(self) -> None:
        found = look(Api({}, deployment(), missing=["volumesnapshotclasses"]))
        assert (found.snapshot_classes, found.unseen) == ((), {})

    def test_no_list_is_read_without_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(inventories, "MOST_OBJECTS", 2)
        found = look(Api({"/api/v1/persistentvolumes": [volume(EBS, str(n)) for n in range(9)]}, deployment()))
        assert len(found.volumes) == 3 and "more than 2 persistentvolumes" in found.unseen["persistentvolumes"]

    @pytest.mark.parametrize("found", [None, deployment(replicas=0)])
    def test_a_server_elsewhere_hides_its_settings(self, found: Json | None) -> None:
        seen = look(Api({}, found))
        assert seen.settings is None and "settings" in seen.unseen


@pytest.mark.parametrize(
    ("args", "flags"),
    [
        ([], PLAIN),
        (["--features=EnableCSI"], SERVED),
        (["--features", "EnableAPIGroupVersions,EnableCSI"], SERVED),
        (["--features=EnableAPIGroupVersions"], PLAIN),
        (["--default-volumes-to-fs-backup"], Settings(files_by_default=True, snapshot_locations={})),
        (["--default-volumes-to-fs-backup=false"], PLAIN),
        (["--default-snapshot-move-data=true"], Settings(move_data=True, snapshot_locations={})),
        (
            ["--default-volume-snapshot-locations=aws:a,x/y:b"],
            Settings(snapshot_locations={"velero.io/aws": "a", "x/y": "b"}),
        ),
    ],
)
def test_settings_are_the_servers_flags(args: list[str], flags: Settings) -> None:
    assert inventories.read_settings(deployment(*args)) == flags
