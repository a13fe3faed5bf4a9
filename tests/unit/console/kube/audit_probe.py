"""Reads hostile kubeconfigs with our parser or the stock loader and reports what the interpreter did meanwhile.

Run in a process of its own, because an audit hook cannot be taken out again:
`python -m tests.unit.console.kube.audit_probe ours|stock CANARY-FILE PORT`; prints one JSON object.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.unit.console.kube.kubeconfigs import CANARY_FILE, CANARY_PORT, HOSTILE, text

WATCHED = {
    "subprocess.Popen": "process",
    "os.exec": "process",
    "os.fork": "process",
    "os.posix_spawn": "process",
    "os.system": "process",
    "open": "file",
    "socket.connect": "connect",
    "socket.getaddrinfo": "connect",
}


def main(which: str, canary: str, port: str) -> None:
    read = _ours() if which == "ours" else _stock()
    happened: Counter[str] = Counter()
    armed = False

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        kind = WATCHED.get(event) if armed else None
        # The stock loader writes files and imports modules of its own: only what the kubeconfig names counts there.
        if kind and (which == "ours" or kind != "file" or arguments[0] == canary):
            happened[kind] += 1

    texts = {name: make() for name, (_, make) in HOSTILE.items()}
    read(text())  # whatever is imported on first use is imported now
    read(text().encode())
    read(text().encode("utf-16"))
    sys.addaudithook(hook)
    tripped = []
    refused = 0
    for name, raw in texts.items():
        before = happened.total()
        source = raw if isinstance(raw, bytes) else raw.replace(CANARY_FILE, canary).replace(CANARY_PORT, port)
        armed = True
        refused += read(source)
        armed = False
        if happened.total() > before:
            tripped.append(name)
    print(json.dumps({"texts": len(texts), "refused": refused, "tripped": tripped, **happened}))


def _ours() -> Callable[[str | bytes], bool]:
    from console.kube.kubeconfig import parse_kubeconfig
    from console.lib.errors import BadInput

    def read(source: str | bytes) -> bool:
        try:
            parse_kubeconfig(source)
        except BadInput as error:
            return error.field == "kubeconfig"
        return False

    return read


def _stock() -> Callable[[str | bytes], bool]:
    import yaml
    from kubernetes import client, config

    def read(source: str | bytes) -> bool:
        # The bombs and the deep ones would hang the control; the stock loader is asked about what it can digest.
        if len(source) > 50_000 or b"*a" in (source if isinstance(source, bytes) else source.encode()):
            return False
        try:
            settings = client.Configuration()
            config.load_kube_config_from_dict(
                yaml.safe_load(source), client_configuration=settings, persist_config=False
            )
            with client.ApiClient(settings) as api:
                if settings.proxy:
                    api.rest_client.request("GET", f"{settings.host}/version", _request_timeout=2)
        except Exception:
            return True
        return False

    return read


if __name__ == "__main__":
    Path(sys.argv[2]).touch()
    main(*sys.argv[1:])
