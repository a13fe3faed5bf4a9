"""Projects, their clusters and workspaces, and what a row that a worker carries out has in common."""

from workspaces.models.cluster import Cluster, ClusterCheck
from workspaces.models.draft import Draft
from workspaces.models.presence import Presence
from workspaces.models.project import Project, Workspace
from workspaces.models.role import ProjectTeamRole, ProjectUserRole, WorkspaceTeamRole, WorkspaceUserRole
from workspaces.models.wish import Overtaken, Wish, WishQuerySet

__all__ = [
    "Cluster",
    "ClusterCheck",
    "Draft",
    "Overtaken",
    "Presence",
    "Project",
    "ProjectTeamRole",
    "ProjectUserRole",
    "Wish",
    "WishQuerySet",
    "Workspace",
    "WorkspaceTeamRole",
    "WorkspaceUserRole",
]
