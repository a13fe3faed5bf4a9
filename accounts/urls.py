from django.urls import path

from accounts.views import audit, profile, session

urlpatterns = [
    path("login/", session.login, name="login"),
    path("logout/", session.logout, name="logout"),
    path("session/", session.session, name="session"),
    path("profile/", profile.profile, name="profile"),
    path("profile/password/", profile.password_change, name="password_change"),
    path("tenants/<uuid:tenant>/audit/", audit.audit_list, name="audit_list"),
    path("tenants/<uuid:tenant>/audit/export/", audit.audit_export, name="audit_export"),
    path("tenants/<uuid:tenant>/audit/<int:event>/", audit.audit_detail, name="audit_detail"),
]
