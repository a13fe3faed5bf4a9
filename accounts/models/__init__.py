"""Tenants, people and their teams, the roles they hold, and what was done by whom."""

from accounts.models.audit import AuditChain, AuditEvent, AuditLink
from accounts.models.invitation import Invitation
from accounts.models.role import TeamRole, UserRole, role_tables
from accounts.models.session import Session
from accounts.models.team import Team
from accounts.models.tenant import Membership, Tenant
from accounts.models.user import AuthenticatedHttpRequest, User, validate_time_zone

__all__ = [
    "AuditChain",
    "AuditEvent",
    "AuditLink",
    "AuthenticatedHttpRequest",
    "Invitation",
    "Membership",
    "Session",
    "Team",
    "TeamRole",
    "Tenant",
    "User",
    "UserRole",
    "role_tables",
    "validate_time_zone",
]
