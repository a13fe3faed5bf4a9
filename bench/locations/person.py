"""A person at work over HTTP, who types secrets, some of them wrong, and opens every page."""

from __future__ import annotations

import html
import http.client
import re
import time
from collections import Counter, deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bench import mainjob, stack
from bench.faults.load import Answer, Visitor

if TYPE_CHECKING:
    from workspaces.models import Cluster

LINK = re.compile(r'(?:href|action)="(/[^"#]*)"')
NOT_OPENED = re.compile(r"^/(static|logout|sandbox)/")
WITHIN = 60.0  # seconds
MOST_VARIANTS = 4


def _errors(answer: Answer) -> list[str]:
    return re.findall(r'class="[^"]*error[^"]*"[^>]*>\s*([^<]+)', answer.body)


class Person:
    """One who is signed in with `visitor` and works in a project."""

    def __init__(self, visitor: Visitor, project: object) -> None:
        self.visitor, self.project = visitor, project
        self._variants: Counter[str] = Counter()

    def sign_in(self, password: str, wrong: str) -> None:
        """At the second try."""
        self.visitor.get("/login/")
        refused = self.visitor.post("/login/", {"username": stack.EMAIL, "password": wrong})
        if refused.status == http.client.FOUND:
            raise mainjob.Failed("a wrong password was taken")
        self.visitor.sign_in(stack.EMAIL, password)

    def replace_kubeconfig(self, cluster: Cluster, kubeconfig: str, wrong: str) -> None:
        """With one that is refused, one that is not let in, and the right one. Raises Failed."""
        begun = self.visitor.post(f"/clusters/{cluster.pk}/settings/kubeconfig/replace/", {})
        here = begun.location.rsplit("/", 2)[0]
        fields = {"context": "", "velero_namespace": "velero"}
        for text in (wrong + "\n  exec: {command: id}", wrong, kubeconfig):
            self.visitor.post(f"{here}/connection/", fields | {"kubeconfig": text})
            ended = self._ended(f"{here}/check/")
        self.visitor.post(f"{here}/check/", {})
        done = self.visitor.post(f"{here}/review/", {})
        if done.status != http.client.FOUND or "/wizard/" in done.location:
            raise mainjob.Failed(f"the kubeconfig was not replaced: {done.status} {_errors(ended)}")

    def add_location(self, fields: Mapping[str, Any], wrong: Mapping[str, str]) -> str:
        """Tried without a name, with wrong keys, with the right ones, then saved; the new page. Raises Failed."""
        page = f"/projects/{self.project}/settings/locations/add/"
        self.visitor.post(page, {**fields, "name": "", "do": "validate"})
        for keys in (wrong, {}):
            answer = self.visitor.post(page, {**fields, **keys, "do": "validate"})
            page = answer.location.partition("#")[0]
            if answer.status != http.client.FOUND:
                raise mainjob.Failed(f"{fields['name']} was not tried: {answer.status} {_errors(answer)}")
            self._ended(page)
        saved = self.visitor.post(page, {**fields, "do": "save"})
        if "/locations/add/" in saved.location or saved.status != http.client.FOUND:
            raise mainjob.Failed(f"{fields['name']} was not saved: {saved.status} {saved.location}")
        return saved.location

    def read_log(self, page: str) -> None:
        """Ask for it and wait until it is there."""
        self.visitor.post(f"{page}log/", {})
        self._ended(f"{page}log/")

    def _ended(self, page: str) -> Answer:
        """The page once nothing on it runs any more: it asks again more slowly then, or not at all."""
        until, answer = time.monotonic() + WITHIN, self.visitor.get(page)
        while time.monotonic() < until and 0 < answer.interval < 1:
            time.sleep(answer.interval)
            answer = self.visitor.get(page)
        return answer

    def _is_another(self, link: str) -> bool:
        path, _, query = link.partition("?")
        self._variants[path] += bool(query)
        return not query or self._variants[path] <= MOST_VARIANTS

    def open_everything(self, most: int) -> int:
        """Every page that a link leads to, at most so many, the nearest first; how many there were.

        Of what a query makes of one page, a few are opened.
        """
        waiting, seen = deque(["/", f"/projects/{self.project}/"]), {"/"}
        opened = 0
        while waiting and opened < most:
            path = waiting.popleft()
            if NOT_OPENED.match(path):
                continue
            answer = self.visitor.get(path)
            opened += 1
            links = [answer.location] if answer.location.startswith("/") else LINK.findall(answer.body)
            fresh = [link for link in map(html.unescape, links) if link not in seen and self._is_another(link)]
            seen.update(fresh)
            waiting.extend(dict.fromkeys(fresh))
        return opened
