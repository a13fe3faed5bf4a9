"""Plain HTTPS to an API server: what the sandbox itself needs, without a client library."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from sandbox.errors import SandboxError

Json = dict[str, Any]


class Api:
    """Requests with the token and the authority of one kubeconfig."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self._address = urlsplit(cluster["server"])
        self._token: str = user["token"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._context = ssl.create_default_context(cadata=authority)

    def request(
        self, method: str, path: str, body: Json | None = None, kind: str = "application/json"
    ) -> tuple[int, Json]:
        """The status and the decoded answer; text that is not JSON comes as {"message": text}.

        Raises: OSError or http.client.HTTPException when there is no answer within 30 s.
        """
        connection = http.client.HTTPSConnection(
            self._address.hostname or "", self._address.port, timeout=30, context=self._context
        )
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": kind}
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            return answer.status, _decoded(answer.read())
        finally:
            connection.close()

    def must(self, method: str, path: str, body: Json | None = None, kind: str = "application/json") -> Json:
        """The answer of a request that has to succeed.

        Raises: SandboxError with the API server's own words otherwise.
        """
        try:
            status, answer = self.request(method, path, body, kind)
        except (OSError, http.client.HTTPException) as error:
            raise SandboxError(f"The API server at {self._address.netloc} did not answer {method} {path}.") from error
        if status >= 300:
            raise SandboxError(f"The API server refused {method} {path}: {answer.get('message', status)}.")
        return answer


def _decoded(text: bytes) -> Json:
    try:
        decoded = json.loads(text)
    except ValueError:
        return {"message": text.decode(errors="replace")}
    return decoded if isinstance(decoded, dict) else {"message": text.decode(errors="replace")}
