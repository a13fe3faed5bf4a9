"""All settings, from the environment. The README's table explains each; no secret has a default."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import environ
from csp.constants import NONCE, NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from console.lib import keys, logs

env = environ.Env()

BASE_DIR = Path(__file__).resolve().parent.parent
VAR = Path(env.str("DRYDOCK_VAR", default=str(BASE_DIR / "var"))).resolve()
VERSION = "0.1.0"


def _own_key(name: str, attribute: str) -> str:
    """A key from the environment, else from the file made at first start."""
    found = env.str(name, default="") or getattr(keys.load(VAR), attribute, "")
    if not found:
        raise ImproperlyConfigured(f"{name} is not set. Set it, or run `make keys` to make keys under {VAR}.")
    return str(found)


SECRET_KEY = _own_key("SECRET_KEY", "secret_key")
CONSOLE_KEYS = [key for key in _own_key("CONSOLE_KEYS", "ring").split(",") if key]
DEBUG = env.bool("DEBUG", default=False)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
BEHIND_TLS = env.bool("BEHIND_TLS", default=False)
PROXIES = max(1, env.int("PROXIES", default=1))

INSTALLED_APPS = [
    "console.apps.SiteConfig",  # Django admin
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "template_partials",
    "csp",
    "guardian",
    "axes",
    "console",
    "accounts",
    "workspaces",
    "backups",  # before django_rq: its `rqworker` imports our jobs before it forks
    "django_rq",
]

MIDDLEWARE = [
    "console.lib.middleware.RequestIdMiddleware",
    "console.lib.middleware.StorableMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "console.lib.middleware.ProbeMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "accounts.middleware.ActivityMiddleware",
    "console.lib.middleware.ViewerMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "console.lib.middleware.ConsoleErrorMiddleware",
    "accounts.denials.DenialMiddleware",
    "accounts.middleware.PasswordMiddleware",
]

ROOT_URLCONF = "console.urls"
WSGI_APPLICATION = "console.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
            ],
        },
    }
]

# Rows are the truth, so a commit must survive power loss (synchronous=FULL); IMMEDIATE because a transaction that
# reads before it writes cannot be upgraded while another one writes.
SQLITE_OPTIONS: dict[str, Any] = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
}
DATABASES = {"default": env.db_url("DATABASE_URL", default=f"sqlite:///{VAR / 'drydock.sqlite3'}")}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["OPTIONS"] = SQLITE_OPTIONS
else:  # what the URL says goes before
    kept = {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}  # a thread keeps its connection, asked before it is used
    DATABASES["default"] = kept | DATABASES["default"]
    DATABASES["default"]["OPTIONS"] = {"connect_timeout": 5, **DATABASES["default"].get("OPTIONS", {})}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env.str("REDIS_URL", default=f"unix://{VAR / 'valkey.sock'}")


def _queue(timeout: int) -> dict[str, Any]:
    """A queue whose jobs are JSON, forgotten once done, and killed after `timeout` seconds."""
    return {
        "URL": REDIS_URL,
        "DEFAULT_TIMEOUT": timeout,
        "DEFAULT_RESULT_TTL": 0,
        "SERIALIZER": "rq.serializers.JSONSerializer",
        "REDIS_CLIENT_KWARGS": {"socket_connect_timeout": 2, "health_check_interval": 30},
    }


# A job may hold its row's lease for this long; the queue ends it then, and the reconciler drives the row again.
LEASE_SECONDS = 20
LOCATION_CHECK_SECONDS = env.int("LOCATION_CHECK_SECONDS", default=300)
RQ_QUEUES = {"interactive": _queue(LEASE_SECONDS), "commands": _queue(LEASE_SECONDS), "slow": _queue(600)}
RQ_SHOW_ADMIN_LINK = False
RQ = {"COMMIT_MODE": "auto"}  # console.lib.queue waits for the commit itself, once and for every caller

AUTH_USER_MODEL = "accounts.User"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

PASSWORD_RESET_TIMEOUT = 3600

# Guessed passwords are refused before one is hashed. accounts/throttle.py counts, in the tables of django-axes; what
# a refused person reads comes from our own pages, not from its middleware.
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AXES_HANDLER = "accounts.throttle.Throttle"
AXES_CLIENT_IP_CALLABLE = "console.lib.middleware.client_address"
AXES_USERNAME_FORM_FIELD = "username"  # as authenticate() calls it
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = AXES_VERBOSE = False

# Roles are rows of django-guardian's kind, asked for by accounts/permissions.py alone: no person stands for strangers,
# nothing is added to the classes of people and groups, and Django's own has_perm() does not ask for them.
ANONYMOUS_USER_NAME = None
GUARDIAN_MONKEY_PATCH_USER = GUARDIAN_MONKEY_PATCH_GROUP = False
SILENCED_SYSTEM_CHECKS = ["guardian.W001", "axes.W002"]

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = Path(env.str("STATIC_ROOT", default=str(BASE_DIR / "staticfiles")))
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = DEBUG

# A session ends as its person's tenants say (accounts/models/session.py); the cookie merely outlives the longest.
SESSION_ENGINE = "accounts.sessions"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_AGE = 7 * 24 * 3600
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = BEHIND_TLS
SECURE_SSL_REDIRECT = BEHIND_TLS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_TLS else None
SECURE_HSTS_SECONDS = 31_536_000 if BEHIND_TLS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = BEHIND_TLS
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF, NONCE],
        "style-src": [SELF, NONCE],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "object-src": [NONE],
        "base-uri": [NONE],
    }
}
# Without a mail server nobody is offered what would need one.
EMAIL_URL = env.str("EMAIL_URL", default="")
MAIL_IS_SENT = bool(EMAIL_URL)
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.str("EMAIL_FROM", default="drydock@localhost")
vars().update(env.email_url_config(EMAIL_URL or "dummymail://"))
EMAIL_TIMEOUT = 10

DATA_UPLOAD_MAX_MEMORY_SIZE = 6 * 1024 * 1024

# Where workers may connect to. Link-local and metadata addresses, and our own database and Redis, are always refused.
OUTBOUND_ALLOW_LOOPBACK = env.bool("OUTBOUND_ALLOW_LOOPBACK", default=False)
OUTBOUND_ALLOW = env.list("OUTBOUND_ALLOW", default=[])
# Stand-ins of the sandbox for the clouds' own addresses, on loopback alone and only where that is allowed. The first is
# the AWS SDKs' own name, which Velero's plugin obeys too.
AWS_ENDPOINT_URL_STS = env.str("AWS_ENDPOINT_URL_STS", default="")
GCS_ENDPOINT_URL = env.str("GCS_ENDPOINT_URL", default="")

SANDBOX_STATE = VAR / "sandbox" / "state.json"
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")

LOGGING_CONFIG = None
logs.configure(level=env.str("LOG_LEVEL", default="INFO"), human=env.bool("LOG_FOR_PEOPLE", default=DEBUG))
