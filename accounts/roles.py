"""Roles: what may be held, by whom it is given a name, and which verbs it stands for.

A role on a project or workspace is one row there, whose permission has the role's codename. Tenant Admin is a column of
the membership. What a verb of a role reaches is decided in permissions.py alone.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from console.lib.errors import BadInput


class Verb(StrEnum):
    """`<noun>.<verb>`. `list` is the narrow sight: a name, a state, a date; `get` is the whole thing."""

    TENANT_GET = "tenant.get"
    TENANT_UPDATE = "tenant.update"
    USER_GET = "user.get"
    USER_LIST = "user.list"
    USER_CREATE = "user.create"
    USER_UPDATE = "user.update"
    TEAM_GET = "team.get"
    TEAM_LIST = "team.list"
    TEAM_CREATE = "team.create"
    TEAM_UPDATE = "team.update"
    TEAM_DELETE = "team.delete"
    ROLE_LIST = "role.list"
    ROLE_CREATE = "role.create"
    ROLE_DELETE = "role.delete"
    AUDIT_GET = "audit.get"
    PROJECT_GET = "project.get"
    PROJECT_LIST = "project.list"
    PROJECT_CREATE = "project.create"
    PROJECT_UPDATE = "project.update"
    PROJECT_DELETE = "project.delete"
    CLUSTER_GET = "cluster.get"
    CLUSTER_LIST = "cluster.list"
    CLUSTER_CREATE = "cluster.create"
    CLUSTER_UPDATE = "cluster.update"
    CLUSTER_DELETE = "cluster.delete"
    WORKSPACE_GET = "workspace.get"
    WORKSPACE_LIST = "workspace.list"
    WORKSPACE_CREATE = "workspace.create"
    WORKSPACE_UPDATE = "workspace.update"
    WORKSPACE_DELETE = "workspace.delete"
    WORKSPACE_BACKUP = "workspace.backup"
    WORKSPACE_RESTORE = "workspace.restore"
    LOCATION_GET = "location.get"
    LOCATION_LIST = "location.list"
    LOCATION_CREATE = "location.create"
    LOCATION_UPDATE = "location.update"
    LOCATION_DELETE = "location.delete"
    POLICY_GET = "policy.get"
    POLICY_LIST = "policy.list"
    POLICY_CREATE = "policy.create"
    POLICY_UPDATE = "policy.update"
    POLICY_DELETE = "policy.delete"
    BACKUP_GET = "backup.get"
    BACKUP_LIST = "backup.list"
    BACKUP_CREATE = "backup.create"
    BACKUP_DELETE = "backup.delete"
    BACKUP_LOG = "backup.log"
    BACKUP_CONTENTS = "backup.contents"
    RESTORE_GET = "restore.get"
    RESTORE_LIST = "restore.list"
    RESTORE_CREATE = "restore.create"


class Scope(StrEnum):
    """What a role is given on."""

    TENANT = "tenant"
    PROJECT = "project"
    WORKSPACE = "workspace"


def _all_of(*nouns: str) -> frozenset[Verb]:
    return frozenset(verb for verb in Verb if verb.split(".")[0] in nouns)


IN_PROJECT = _all_of("cluster", "workspace", "location", "policy", "backup", "restore")
SEEING = frozenset(verb for verb in IN_PROJECT if verb.endswith((".get", ".list")))


class Role:
    """One kind of role. Never instantiated: who holds it on what is a row."""

    codename: ClassVar[str]
    display_name: ClassVar[str]
    description: ClassVar[str]
    scope: ClassVar[Scope]
    verbs: ClassVar[frozenset[Verb]]


class TenantAdmin(Role):
    codename = "tenant_admin"
    display_name = "Tenant Admin"
    description = "Everything in the tenant: users, teams, roles, projects and all below."
    scope = Scope.TENANT
    verbs = frozenset(Verb)


class ProjectAdmin(Role):
    codename = "project_admin"
    display_name = "Project Admin"
    description = "Everything in the project except users and tenant settings."
    scope = Scope.PROJECT
    verbs = IN_PROJECT | {Verb.PROJECT_GET, Verb.PROJECT_LIST, Verb.ROLE_LIST}


class ProjectViewer(Role):
    """Without the contents of backups: those hold Secrets."""

    codename = "project_viewer"
    display_name = "Project Viewer"
    description = "Sees everything in the project, changes nothing, sees no secret."
    scope = Scope.PROJECT
    verbs = SEEING | {Verb.PROJECT_GET, Verb.PROJECT_LIST, Verb.ROLE_LIST, Verb.BACKUP_LOG}


class WorkspaceOperator(Role):
    """Backs up and restores the workspace as a whole; hence neither `backup.create` nor `restore.create`, which stand
    for any backup of a cluster and any restore of it, with every option."""

    codename = "workspace_operator"
    display_name = "Workspace Operator"
    description = "Backs up the workspace on demand and restores it; changes and deletes nothing."
    scope = Scope.WORKSPACE
    verbs = frozenset(
        {
            Verb.PROJECT_LIST,
            Verb.CLUSTER_LIST,
            Verb.LOCATION_LIST,
            Verb.WORKSPACE_GET,
            Verb.WORKSPACE_LIST,
            Verb.WORKSPACE_BACKUP,
            Verb.WORKSPACE_RESTORE,
            Verb.POLICY_GET,
            Verb.POLICY_LIST,
            Verb.BACKUP_GET,
            Verb.BACKUP_LIST,
            Verb.BACKUP_LOG,
            Verb.RESTORE_GET,
            Verb.RESTORE_LIST,
            Verb.ROLE_LIST,
        }
    )


class WorkspaceAdmin(Role):
    codename = "workspace_admin"
    display_name = "Workspace Admin"
    description = "Everything in the workspace: its details, policies, backups and restores, and deleting them."
    scope = Scope.WORKSPACE
    verbs = WorkspaceOperator.verbs | {
        Verb.WORKSPACE_UPDATE,
        Verb.WORKSPACE_DELETE,
        Verb.POLICY_CREATE,
        Verb.POLICY_UPDATE,
        Verb.POLICY_DELETE,
        Verb.BACKUP_DELETE,
        Verb.BACKUP_CONTENTS,
    }


ROLES: tuple[type[Role], ...] = (TenantAdmin, ProjectAdmin, ProjectViewer, WorkspaceAdmin, WorkspaceOperator)


def roles_on(scope: Scope) -> tuple[type[Role], ...]:
    """The roles that can be given on this, the mightiest first."""
    return tuple(role for role in ROLES if role.scope == scope)


def role_named(codename: str) -> type[Role]:
    """Raises BadInput(field="role") for a codename that no role has."""
    for role in ROLES:
        if role.codename == codename:
            return role
    raise BadInput("Choose one of the roles.", field="role")


def codenames(scope: Scope, verb: Verb) -> list[str]:
    """Of the roles on this that hold the verb."""
    return [role.codename for role in roles_on(scope) if verb in role.verbs]


def permissions_of(scope: Scope) -> tuple[tuple[str, str], ...]:
    """For a model's Meta: one permission for each role that can be given on it."""
    return tuple((role.codename, role.display_name) for role in roles_on(scope))
