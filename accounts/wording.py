"""Audit rows in words."""

from __future__ import annotations

from typing import Any

from accounts.models import AuditEvent

WHOLE = {  # what reads otherwise than its parts
    "session.create": "signed in",
    "session.delete": "signed out",
    "user.join": "made a member",
    "session.delete_all": "signed out everywhere",
    "session.confirm": "typed the password again",
    "user.password": "changed the password of",
    "user.ask_password_reset": "asked for a letter with a new password for",
    "user.reset_password": "set a new password by letter for",
    "role.create": "gave a role to",
    "role.delete": "took a role from",
    "team.add_member": "added a member to team",
    "team.remove_member": "removed a member from team",
    "cluster.replace_kubeconfig": "replaced the kubeconfig of cluster",
    "backup.contents": "listed the contents of backup",
    "backup.object": "looked at an object of backup",
    "backup.reveal": "saw a Secret's values in backup",
    "backup.download": "downloaded the contents of backup",
    "location.scan": "had scanned for backups the location",
    "location.scanned": "finished scanning location",
    "location.remove": "finished deleting location",
    "location.forget": "left in a cluster the objects of location",
    "location.retry": "tried again in a cluster location",
    "backup.scheduled": "saw the run of a policy:",
    "policy.pause": "paused policy",
    "policy.resume": "resumed policy",
    "policy.mend": "put back in the cluster policy",
    "policy.adopt": "took over from the cluster policy",
    "policy.remove": "finished deleting policy",
    "policy.forget": "left in a cluster the Schedule of policy",
    "policy.retry": "tried again in a cluster policy",
    "credentials.rotate": "encrypted stored credentials with another key, of",
    "audit.export": "exported the audit log of",
    "request.get": "opened",
    "request.post": "sent a form of",
}
DONE = {
    "create": "created",
    "update": "changed",
    "delete": "deleted",
    "check": "checked",
    "list": "listed",
    "get": "opened",
    "register": "registered",
    "deregister": "deregistered",
    "activate": "activated",
    "deactivate": "deactivated",
    "invite": "invited",
    "adopt": "adopted",
    "readopt": "adopted again",
    "rename": "renamed",
    "accept": "accepted",
    "resend": "sent again",
    "withdraw": "withdrew",
}
NOUNS = {"backuplocation": "location", "backuppolicy": "policy", "clustercheck": "check", "locationcheck": "check"}


def deed(event: AuditEvent) -> str:
    """`registered cluster`: to be followed by the object. What nobody foresaw is the verb as it is."""
    if (event.verb, event.outcome) == ("session.create", "denied"):
        return "refused to sign in"
    noun, _, verb = event.verb.partition(".")
    return WHOLE.get(event.verb) or (f"{DONE[verb]} {noun}" if verb in DONE else event.verb)


def target(event: AuditEvent) -> str:
    """The object's name; nothing where it would only repeat the person, and words for a page."""
    if _of_oneself(event):
        return ""
    return event.target.replace("_", " ") if event.target_kind == "page" else event.target


def _of_oneself(event: AuditEvent) -> bool:
    return event.verb.startswith("session.") and event.target_id == str(event.actor_id)


def kind(event: AuditEvent) -> str:
    return NOUNS.get(event.target_kind, event.target_kind)


def details(event: AuditEvent) -> list[tuple[str, str]]:
    """Each detail with its name, as a person reads it."""
    return [(name.replace("_", " ").capitalize(), _value(value)) for name, value in event.details.items()]


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_value, value)) or "none"
    if isinstance(value, dict):
        return "; ".join(f"{name.replace('_', ' ')}: {_value(each)}" for name, each in value.items()) or "none"
    return "none" if value is None or value == "" else str(value)
