"""The sample application's manifests."""

from __future__ import annotations

import pytest

from sandbox import sample
from sandbox.sample import NAMESPACES, documents


def test_it_has_one_of_everything() -> None:
    kinds = {document["kind"] for document in documents()}
    assert kinds >= {
        "Namespace", "Deployment", "StatefulSet", "CronJob", "Service", "ConfigMap", "Secret", "ServiceAccount", "Role",
        "RoleBinding", "ClusterRole", "ClusterRoleBinding", "NetworkPolicy", "PersistentVolume",
        "PersistentVolumeClaim", "CustomResourceDefinition", "Ship",
    }  # fmt: skip


def test_every_object_lies_in_one_of_its_namespaces_and_is_there_once() -> None:
    metadata = [(document["kind"], document["metadata"]) for document in documents()]
    places = [(kind, data.get("namespace"), data["name"]) for kind, data in metadata]
    assert {namespace for _, namespace, _ in places} == {None, *NAMESPACES}
    assert len(set(places)) == len(places)
    assert [name for kind, _, name in places if kind == "Namespace"] == list(NAMESPACES)


def test_services_are_of_both_types() -> None:
    services = [document["spec"] for document in documents() if document["kind"] == "Service"]
    assert {"NodePort", "ClusterIP"} <= {service.get("type") for service in services}
    assert any(port.get("nodePort") for service in services for port in service["ports"])


@pytest.mark.parametrize(
    ("document", "collection", "namespaced", "path"),
    [
        ({"metadata": {"name": "a"}}, "/api/v1|namespaces", False, "/api/v1/namespaces/a"),
        (
            {"metadata": {"name": "a", "namespace": "shop"}},
            "/apis/apps/v1|deployments",
            True,
            "/apis/apps/v1/namespaces/shop/deployments/a",
        ),
    ],
)
def test_where_an_object_lives(document: dict, collection: str, namespaced: bool, path: str) -> None:
    assert sample._path(document, collection, namespaced) == path
