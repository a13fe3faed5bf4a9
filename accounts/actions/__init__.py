from accounts.actions.tenant import add_tenant_admin, create_tenant, generate_password

__all__ = ["add_tenant_admin", "create_tenant", "generate_password"]
