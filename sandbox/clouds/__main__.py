"""All stand-ins of ours in one process: `python -m sandbox.clouds CONFIG`, see stack.py for what is in the file."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

from sandbox.clouds.accounts import Accounts, Identity
from sandbox.clouds.gate import Gate
from sandbox.clouds.google import Google, ServiceAccount
from sandbox.clouds.metadata import Metadata
from sandbox.clouds.stack import NODE, roles
from sandbox.clouds.sts import Sts
from sandbox.clouds.web import Answer, serve


def answers(config: dict[str, Any]) -> dict[str, Answer]:
    """What each stand-in says, by its name."""
    known = roles(config["external_id"])
    accounts = Accounts({key: Identity(**one) for key, one in config["users"].items()}, known)
    google = [ServiceAccount(**one) for one in config["google"]["accounts"]]
    return {
        "sts": Sts(accounts),
        "s3": Gate(accounts, config["s3"]["url"], tuple(config["s3"]["keys"])),
        "metadata": Metadata(accounts, next(role for role in known if role.arn == NODE)),
        "google": Google(google, config["google"]["url"]),
    }


def main() -> int:
    config = json.loads(Path(sys.argv[1]).read_text())
    servers = [serve(config["ports"][name], answer) for name, answer in answers(config).items()]
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    for server in servers:
        server.server_close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
