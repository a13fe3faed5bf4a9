"""Structured logs on standard error: one JSON object a line, with the request or job id of whatever caused it.

Values under a key that names a secret are masked, whoever logs them. This is a net under the rule, not the rule:
nothing should pass a secret to a logger.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

SECRET_NAME = re.compile(r"secret|password|token|kubeconfig|credential|authorization|cookie|private_key", re.I)
URL_PASSWORD = re.compile(r"(\w+://[^:/@\s]*:)[^@\s]+@")


def mask(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Blank values whose key names a secret, and passwords inside URLs."""
    for key, value in event.items():
        event[key] = _masked(key, value)
    return event


def _masked(key: str, value: Any) -> Any:
    if SECRET_NAME.search(key):
        return "•••"
    if isinstance(value, str):
        return URL_PASSWORD.sub(r"\1•••@", value)
    if isinstance(value, dict):
        return {inner: _masked(str(inner), held) for inner, held in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(key, held) for held in value]
    return value


def configure(*, level: str, human: bool) -> None:
    """Send structlog and the standard library's logging through one chain."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        mask,
    ]
    renderer = structlog.dev.ConsoleRenderer() if human else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processor=renderer))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("urllib3", "botocore", "rq.worker", "gunicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
