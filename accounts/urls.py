from django.urls import path

from accounts.views import audit, invitation, password, profile, role, session, team, tenant, user

USERS = "tenants/<uuid:tenant>/users/"
USER = f"{USERS}<uuid:user>/"
TEAMS = "tenants/<uuid:tenant>/teams/"
TEAM = f"{TEAMS}<uuid:team>/"
INVITATION = "tenants/<uuid:tenant>/invitations/<uuid:invitation>/"
ROLES = "roles/<slug:scope>/"
ROLE = f"{ROLES}<uuid:on>/<slug:role>/"

urlpatterns = [
    path("login/", session.login, name="login"),
    path("login/forgotten/", password.password_forgotten, name="password_forgotten"),
    path("login/reset/<slug:uid>/<slug:token>/", password.password_reset, name="password_reset"),
    path("logout/", session.logout, name="logout"),
    path("session/", session.session, name="session"),
    path("session/confirm/", session.session_confirm, name="session_confirm"),
    path("profile/", profile.profile, name="profile"),
    path("profile/password/", password.password_change, name="password_change"),
    path("profile/sessions/<slug:key>/end/", session.session_end, name="session_end"),
    path("profile/sessions/end/", session.session_end_all, name="session_end_all"),
    path("tenants/<uuid:tenant>/audit/", audit.audit_list, name="audit_list"),
    path("tenants/<uuid:tenant>/audit/export/", audit.audit_export, name="audit_export"),
    path("tenants/<uuid:tenant>/audit/<int:event>/", audit.audit_detail, name="audit_detail"),
    path("invitation/", invitation.invitation_open, name="invitation_open"),
    path(USERS, user.user_list, name="user_list"),
    path(f"{USERS}invite/", invitation.invitation_create, name="invitation_create"),
    path(f"{INVITATION}resend/", invitation.invitation_resend, name="invitation_resend"),
    path(f"{INVITATION}withdraw/", invitation.invitation_withdraw, name="invitation_withdraw"),
    path(USER, user.user_detail, name="user_detail"),
    path(f"{USER}tenant-admin/<slug:deed>/", user.user_admin, name="user_admin"),
    path(f"{USER}state/<slug:deed>/", user.user_state, name="user_state"),
    path(f"{USER}{ROLES}", role.user_roles, name="user_roles"),
    path(f"{USER}{ROLE}remove/", role.user_role_remove, name="user_role_remove"),
    path(TEAMS, team.team_list, name="team_list"),
    path(f"{TEAMS}create/", team.team_create, name="team_create"),
    path(TEAM, team.team_detail, name="team_detail"),
    path(f"{TEAM}members/add/", team.team_member_add, name="team_member_add"),
    path(f"{TEAM}members/<uuid:user>/remove/", team.team_member_remove, name="team_member_remove"),
    path(f"{TEAM}settings/", team.team_settings, name="team_settings"),
    path(f"{TEAM}delete/", team.team_delete, name="team_delete"),
    path(f"{TEAM}{ROLES}", role.team_roles, name="team_roles"),
    path(f"{TEAM}{ROLE}remove/", role.team_role_remove, name="team_role_remove"),
    path("tenants/<uuid:tenant>/settings/", tenant.tenant_settings, name="tenant_settings"),
]
