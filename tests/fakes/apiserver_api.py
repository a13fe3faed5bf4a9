"""The Kubernetes API of the fake: paths to resources, authorization, verbs, reviews, discovery, watch events."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from tests.fakes import apiserver_rules as rules
from tests.fakes.apiserver_faults import Request
from tests.fakes.apiserver_rules import Resource
from tests.fakes.apiserver_selectors import Selector
from tests.fakes.apiserver_store import Change, Object, Stored, now
from tests.fakes.apiserver_users import Right, User

if TYPE_CHECKING:
    from tests.fakes.apiserver import Cluster

_PATCHES = ("application/merge-patch+json", "application/apply-patch+yaml")
_REVIEWS = {
    ("authorization.k8s.io", "v1", "selfsubjectaccessreviews"),
    ("authentication.k8s.io", "v1", "selfsubjectreviews"),
}
_VERBS = {"GET": "get", "POST": "create", "PATCH": "patch", "DELETE": "delete", "PUT": "update"}


class PlainNotFound(Exception):
    """404 with a text body, as for groups that are not served."""


@dataclass(frozen=True)
class Call:
    """A request whose path has been understood. `resource` None: a special path, named by `special`."""

    cluster: Cluster
    user: User
    request: Request
    content_type: str
    resource: Resource | None = None
    namespace: str = ""
    name: str = ""
    special: str = ""
    group: str = ""
    version: str = ""
    selector: Selector = field(default_factory=Selector)


def route(cluster: Cluster, user: User, request: Request, content_type: str) -> Call:
    """Understand the path and check the user's right to it. Raises: Refusal (403, 404), PlainNotFound."""
    parts = [unquote(part) for part in request.path.strip("/").split("/")]
    if parts[0] in ("version", "readyz", "livez", "healthz"):
        return Call(cluster, user, request, content_type, special=parts[0])
    if parts[0] == "api" and parts[1:2] == ["v1"]:
        group, version, rest = "", "v1", parts[2:]
    elif parts[0] == "apis" and len(parts) >= 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    elif parts in (["api"], ["apis"]):
        return Call(cluster, user, request, content_type, special=parts[0])
    else:
        raise PlainNotFound
    if not rest:
        return Call(cluster, user, request, content_type, special="resources", group=group, version=version)
    namespace, plural, name = _locate(rest)
    if (group, version, plural) in _REVIEWS:
        return Call(cluster, user, request, content_type, special=plural)
    _authorize(user, request, group, plural, namespace, name)
    resource = cluster.resources.get((group, version, plural))
    if resource is None:
        if group:
            raise PlainNotFound
        raise rules.Refusal(404, "NotFound", "the server could not find the requested resource", {})
    selector = Selector(request.query.get("labelSelector", ""), request.query.get("fieldSelector", ""))
    return Call(cluster, user, request, content_type, resource, namespace, name, selector=selector)


def perform(call: Call) -> tuple[int, bytes]:
    """Status code and body. Raises: Refusal."""
    if call.resource is None:
        return _special(call)
    verb = call.request.method
    if verb == "GET":
        return 200, _one(call) if call.name else _list(call)
    if verb == "POST" and not call.name:
        return 201, _create(call)
    if verb == "PATCH" and call.name:
        return _patch(call)
    if verb == "DELETE" and call.name:
        return 200, _delete(call)
    raise rules.Refusal(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {})


def backlog(call: Call) -> list[bytes]:
    """What a new watch is told first: everything since its version, or everything there is. Raises: Refusal (410)."""
    version = call.request.query.get("resourceVersion", "")
    assert call.resource is not None
    if version in ("", "0"):
        found = call.cluster.store.all(call.resource, call.namespace)
        return [_line("ADDED", stored) for stored in found if call.selector.matches(stored)]
    if not version.isdecimal():
        raise rules.Refusal(500, "", f'resourceVersion: Invalid value: "{version}": strconv.ParseUint: invalid syntax')
    changes = call.cluster.store.changes_after(int(version))
    return [line for change in changes if change.resource == call.resource for line in event_lines(call, change)]


def event_lines(call: Call, change: Change) -> list[bytes]:
    """The event a watch sees of a change: nothing, or one line; selectors turn changes into arrivals and departures."""
    if call.namespace and change.after.namespace != call.namespace:
        return []
    was = change.before is not None and call.selector.matches(change.before)
    is_now = change.type != "DELETED" and call.selector.matches(change.after)
    if was and is_now:
        return [_line("MODIFIED", change.after)]
    if is_now:
        return [_line("ADDED", change.after)]
    return [_line("DELETED", change.after)] if was else []


def bookmark(call: Call, version: int) -> dict[str, Any]:
    """Nothing happened up to `version`."""
    assert call.resource is not None
    metadata = {"resourceVersion": str(version)}
    body = {"kind": call.resource.kind, "apiVersion": call.resource.api_version, "metadata": metadata}
    return {"type": "BOOKMARK", "object": body}


def _locate(rest: list[str]) -> tuple[str, str, str]:
    """(namespace, plural, name) of what follows the version; a subresource is served as the object itself."""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        return rest[1], rest[2], rest[3] if len(rest) > 3 else ""
    return "", rest[0], rest[1] if len(rest) > 1 else ""


def _authorize(user: User, request: Request, group: str, plural: str, namespace: str, name: str) -> None:
    verb = _VERBS.get(request.method, request.method.lower())
    if verb == "get" and not name:
        verb = "watch" if request.is_watch else "list"
    if user.allows(Right(verb, group, plural, namespace, name)):
        return
    kind = f"{plural}.{group}" if group else plural
    subject = f'{kind} "{name}"' if name else kind
    scope = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    about = {"name": name, "group": group, "kind": plural}
    message = (
        f'{subject} is forbidden: User "{user.name}" cannot {verb} resource "{plural}" in API group "{group}" {scope}'
    )
    raise rules.Refusal(403, "Forbidden", message, {key: value for key, value in about.items() if value})


def _one(call: Call) -> bytes:
    assert call.resource is not None
    return call.cluster.store.get(call.resource, call.namespace, call.name).body


def _list(call: Call) -> bytes:
    assert call.resource is not None
    query = call.request.query
    limit = int(query.get("limit") or 0)
    page = call.cluster.store.page(call.resource, call.namespace, call.selector, limit, query.get("continue", ""))
    metadata: Object = {"resourceVersion": str(page.version), "continue": page.token}
    if page.remaining is not None:
        metadata["remainingItemCount"] = page.remaining
    head = {"apiVersion": call.resource.api_version, "kind": f"{call.resource.kind}List", "metadata": metadata}
    items = b",".join(stored.body for stored in page.items)
    return json.dumps(head).encode()[:-1] + b', "items": [' + items + b"]}"


def _create(call: Call) -> bytes:
    assert call.resource is not None
    body = _body(call)
    wanted = (body.get("metadata") or {}).get("namespace")
    if call.resource.namespaced and not call.namespace:
        raise rules.Refusal(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
    if wanted and wanted != call.namespace:
        raise rules.bad_request("the namespace of the provided object does not match the namespace sent on the request")
    return call.cluster.store.create(call.resource, call.namespace, body).body


def _patch(call: Call) -> tuple[int, bytes]:
    assert call.resource is not None
    store = call.cluster.store
    if call.content_type not in _PATCHES:
        accepted = "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
        message = f"the body of the request was in an unknown format - accepted media types include: {accepted}"
        raise rules.Refusal(415, "UnsupportedMediaType", message)
    body = _body(call)
    if call.content_type == _PATCHES[0]:
        return 200, store.merge_patch(call.resource, call.namespace, call.name, body).body
    manager = call.request.query.get("fieldManager", "")
    if not manager:
        raise rules.bad_request("PatchOptions.meta.k8s.io is invalid: fieldManager: Required value")
    stored, created = store.apply(call.resource, call.namespace, call.name, body, manager)
    return 201 if created else 200, stored.body


def _delete(call: Call) -> bytes:
    assert call.resource is not None
    options = _body(call) if call.request.body else {}
    uid = (options.get("preconditions") or {}).get("uid")
    before = call.cluster.store.get(call.resource, call.namespace, call.name)
    staying = call.cluster.store.delete(call.resource, call.namespace, call.name, uid)
    if staying is not None:
        return staying.body
    about = rules.details(call.resource, call.name) | {"uid": before.uid}
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": about}
    return json.dumps(status).encode()


def _body(call: Call) -> Object:
    try:
        body = json.loads(call.request.body)
    except ValueError as error:
        raise rules.bad_request(f"the object provided is unrecognized: {error}") from error
    if not isinstance(body, dict):
        raise rules.bad_request("the object provided is unrecognized (must be an object): couldn't get version/kind")
    return body


def _line(kind: str, stored: Stored) -> bytes:
    return b'{"type":"%s","object":%s}' % (kind.encode(), stored.body)


# --- special paths --------------------------------------------------------------------------------------------------


def _special(call: Call) -> tuple[int, bytes]:
    match call.special:
        case "version":
            return 200, json.dumps(call.cluster.version).encode()
        case "selfsubjectreviews":
            return 201, _who_am_i(call)
        case "selfsubjectaccessreviews":
            return 201, _may_i(call)
        case "api":
            return 200, json.dumps({"kind": "APIVersions", "versions": ["v1"]}).encode()
        case "apis":
            return 200, _groups(call)
        case "resources":
            return 200, _resources(call)
    return 200, b"ok"


def _who_am_i(call: Call) -> bytes:
    review = {
        "kind": "SelfSubjectReview",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"creationTimestamp": now()},
        "status": {"userInfo": {"username": call.user.name, "groups": list(call.user.groups)}},
    }
    return json.dumps(review).encode()


def _may_i(call: Call) -> bytes:
    body = _body(call)
    wanted = body.get("spec", {}).get("resourceAttributes", {})
    right = Right(
        wanted.get("verb", ""),
        wanted.get("group", ""),
        wanted.get("resource", ""),
        wanted.get("namespace", ""),
        wanted.get("name", ""),
    )
    return json.dumps({**body, "metadata": {}, "status": {"allowed": call.user.allows(right)}}).encode()


def _groups(call: Call) -> bytes:
    groups: dict[str, list[str]] = {}
    for group, version, _ in call.cluster.resources:
        if group and version not in groups.setdefault(group, []):
            groups[group].append(version)
    listed = []
    for group, versions in groups.items():
        served = [{"groupVersion": f"{group}/{version}", "version": version} for version in versions]
        listed.append({"name": group, "versions": served, "preferredVersion": served[0]})
    return json.dumps({"kind": "APIGroupList", "apiVersion": "v1", "groups": listed}).encode()


def _resources(call: Call) -> bytes:
    found = [
        {
            "name": resource.plural,
            "singularName": resource.kind.lower(),
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": ["create", "delete", "get", "list", "patch", "watch"],
        }
        for (group, version, _), resource in call.cluster.resources.items()
        if (group, version) == (call.group, call.version)
    ]
    if not found:
        raise PlainNotFound
    version = f"{call.group}/{call.version}" if call.group else call.version
    return json.dumps(
        {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": found}
    ).encode()
