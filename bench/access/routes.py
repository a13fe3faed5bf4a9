"""Who gets in where, spelled out: the table that the pages are held against. Nothing here is read from the roles.

A letter for each role that a page lets in where the role was given:

    T  Tenant Admin    P  Project Admin    V  Project Viewer    A  Workspace Admin    O  Workspace Operator
    M  whoever is signed in

A route that is not in the table is red. `row` says what its address names.
"""

from __future__ import annotations

from dataclasses import dataclass

ALL = "TPVAO"


@dataclass(frozen=True)
class Route:
    """`get` and `post`: who is let in; None: the page has no such method. `public`: without a sign-in, too."""

    row: str = ""
    get: str | None = None
    post: str | None = None
    public: bool = False
    ends: bool = False  # the session, and leads to the sign-in
    wide: bool = False  # of the project as such: a role on any workspace of it counts
    machines: bool = False  # asked by machines, whatever the method; answers with what it found


ROUTES: dict[str, Route] = {
    # The console itself
    "home": Route(get="M"),
    "healthz": Route(machines=True),
    "readyz": Route(machines=True),
    "metrics": Route(machines=True),  # asks for a token of its own where one is set
    "sandbox_progress": Route(get="M"),
    "login": Route(get="M", post="M", public=True),
    "password_forgotten": Route(get="", post="", public=True),  # not there without a mail server
    "password_reset": Route(get="M", post="M", public=True),  # whoever has the letter
    "logout": Route(post="M", ends=True),
    "session": Route(get="M"),
    "profile": Route(get="M", post="M"),
    "session_confirm": Route(get="M", post="M"),
    "session_end": Route("key", post=""),  # one's own alone; these are somebody else's
    "session_end_all": Route(post="M", ends=True),
    "password_change": Route(get="M", post="M"),
    # A tenant's own
    "audit_list": Route("tenant", get="T"),
    "audit_export": Route("tenant", get="T"),
    "audit_detail": Route("event", get="T"),
    # Drafts are their creator's alone
    "wizard_step": Route("draft", get="", post=""),
    "location_draft": Route("location draft", get="", post=""),
    "location_edit_draft": Route("location draft", get="", post=""),
    "volume_preview": Route("preview", get=""),
    # Projects
    "project_overview": Route("project", get="TPV"),
    "project_settings": Route("project", get="TPV"),
    # Tenants, for their admins
    "project_list": Route("tenant", get="T"),
    "project_create": Route("tenant", get="T", post="T"),
    "project_rename": Route("tenant", get="T", post="T"),
    "project_delete": Route("tenant", get="T", post="T"),
    "tenant_settings": Route("tenant", get="T", post="T"),
    # Users, invitations and teams
    "user_list": Route("tenant", get="T"),
    "user_detail": Route("tenant", get="T"),
    "user_admin": Route("tenant", get="T", post="T"),
    "user_state": Route("tenant", get="T", post="T"),
    "user_roles": Route("tenant", get="T"),
    "user_roles_add": Route("tenant", get="T"),
    "user_role_remove": Route("tenant", get="T", post="T"),
    "invitation_create": Route("tenant", get="T", post="T"),
    "invitation_resend": Route("tenant", get="T", post="T"),
    "invitation_withdraw": Route("tenant", get="T", post="T"),
    "invitation_open": Route(get="M", post="M", public=True),
    "team_list": Route("tenant", get="T"),
    "team_create": Route("tenant", get="T", post="T"),
    "team_detail": Route("tenant", get="T"),
    "team_member_add": Route("tenant", post="T"),
    "team_member_remove": Route("tenant", get="T", post="T"),
    "team_settings": Route("tenant", get="T", post="T"),
    "team_delete": Route("tenant", get="T", post="T"),
    "team_roles": Route("tenant", get="T"),
    "team_roles_add": Route("tenant", get="T"),
    "team_role_remove": Route("tenant", get="T", post="T"),
    # Workspaces
    "workspace_list": Route("project", get=ALL, wide=True),
    "workspace_create": Route("project", get="TP", post="TP"),
    "workspace_detail": Route("workspace", get=ALL),
    "workspace_clusters": Route("workspace", get=ALL),
    "workspace_backups": Route("workspace", get=ALL),
    "workspace_others": Route("workspace", get=ALL),
    "workspace_restores": Route("workspace", get=ALL),
    "workspace_members": Route("workspace", get=ALL),
    "workspace_settings": Route("workspace", get="TPA", post="TPA"),
    "workspace_delete": Route("workspace", get="TPA", post="TPA"),
    # Clusters
    "cluster_list": Route("project", get="TPV"),
    "cluster_register": Route("project", get="TP", post="TP"),
    "cluster_state": Route("cluster", get="TPV"),
    "cluster_overview": Route("cluster", get="TPV"),
    "cluster_events": Route("cluster", get="TPV"),
    "cluster_settings": Route("cluster", get="TP", post="TP"),
    "cluster_schedule": Route("cluster", get="TPV"),
    "policy_create": Route("cluster", get="TP", post="TP"),
    "policy_detail": Route("policy", get="TPV"),
    "policy_edit": Route("policy", get="TP", post="TP"),
    "policy_pause": Route("policy", post="TP"),
    "policy_run": Route("policy", post="TP"),
    "policy_retry": Route("policy", post="TP"),
    "policy_mend": Route("policy", post="TP"),
    "policy_adopt": Route("policy", post="TP"),
    "policy_forget": Route("policy", post="TP"),
    "policy_delete": Route("policy", get="TP", post="TP"),
    "cluster_deregister": Route("cluster", get="TP", post="TP"),
    "cluster_kubeconfig": Route("cluster", get="TP"),
    "cluster_kubeconfig_replace": Route("cluster", post="TP"),
    "cluster_recheck": Route("cluster", post="TP"),
    # Backups and restores
    "cluster_backups": Route("cluster", get="TPV"),
    "cluster_restores": Route("cluster", get="TPV"),
    "backup_create": Route("cluster", get="TP", post="TP"),
    "backup_detail": Route("backup", get=ALL),
    "backup_yaml": Route("backup", get=ALL),
    "backup_log": Route("backup", get=ALL, post=ALL),
    "backup_log_text": Route("backup", get=""),  # what somebody has read, theirs alone
    "backup_contents": Route("backup", get="TPA", post="TPA"),
    "backup_object": Route("backup", get="TPA", post="TPA"),
    "backup_archive": Route("backup", get="TPA", post="TPA"),
    "backup_archive_file": Route("backup", get=""),
    "restore_begin": Route("backup", get="TP"),
    "restore_detail": Route("restore", get=ALL),
    "restore_yaml": Route("restore", get=ALL),
    "restore_log": Route("restore", get=ALL, post=ALL),
    "restore_log_text": Route("restore", get=""),
    # Backup locations
    "location_list": Route("project", get="TPV"),
    "location_create": Route("project", get="TP", post="TP"),
    "location_detail": Route("location", get="TPV"),
    "location_open": Route("project", get="TP", post="TP"),
    "location_found": Route("location", get="TPV"),
    "location_scan": Route("location", post="TP"),
    "location_recheck": Route("location", post="TP"),
    "location_edit": Route("location", get="TP", post="TP"),
    "location_delete": Route("location", get="TP", post="TP"),
    "location_retry": Route("location", post="TP"),
    "location_forget": Route("location", post="TP"),
}
