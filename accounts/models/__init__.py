"""Tenants, people, and what was done by whom."""

from accounts.models.audit import AuditEvent
from accounts.models.tenant import Membership, Tenant
from accounts.models.user import AuthenticatedHttpRequest, User, validate_time_zone

__all__ = ["AuditEvent", "AuthenticatedHttpRequest", "Membership", "Tenant", "User", "validate_time_zone"]
