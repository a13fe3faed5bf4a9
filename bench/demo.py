"""`make demo`: the main job from nothing, in a folder that is thrown away, with every restored object compared.

1. Start the sandbox and the console.
2. West must not have the sample's namespaces.
3. Back up east, restore into west, compare every object.
4. Delete the namespaces in east, restore in place, compare again.

Exits 0 when all objects are equal; otherwise names the first difference and exits 1.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import django

from bench import compare, mainjob, stack
from bench.compare import Key, Result, open_cluster, snapshot
from console.kube.connection import Connection
from console.kube.paths import core
from console.lib.errors import Missing
from sandbox import sample
from sandbox.state import State

GONE_WITHIN = 60.0
SETTLED_WITHIN = 20.0


def cluster_scoped() -> list[Key]:
    """The sample application's objects that live in no namespace."""
    documents = sample.documents()
    return [(x["kind"], "", x["metadata"]["name"]) for x in documents if "namespace" not in x["metadata"]]


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="drydock-demo-") as folder:
        var = Path(folder)
        os.environ.update(stack.environment(var, 0))
        try:
            with stack.sandbox(var), stack.console(var):
                django.setup()
                return demo()
        except (mainjob.Failed, stack.NotUp) as error:
            print(f"main job failed: {error}", file=sys.stderr)
            return 1


def demo() -> int:
    """The main job and both comparisons. Raises Failed."""
    state = mainjob.wait_for_sandbox()
    fleet = mainjob.register(state)
    refuse_leftovers(state)
    with open_cluster(state.clusters["harbor-east"].kubeconfig) as east:
        originals = settled(east)
        backup = mainjob.back_up(fleet)
        mainjob.tell(backup, "Backup of harbor-east")
        restore = mainjob.restore(fleet, backup, fleet.west)
        mainjob.tell(restore, "Restore into harbor-west")
        elsewhere = checked("harbor-west", originals, state)
        remove_namespaces(east)
        in_place = mainjob.restore(fleet, backup, fleet.east)
        mainjob.tell(in_place, "Restore in place into harbor-east")
        here = checked("harbor-east", originals, state)
    print("  " + ", ".join(f"{count} {kind}" for kind, count in elsewhere.per_kind.items()))
    print(
        f"main job: backup Completed in {mainjob.seconds(backup):.1f} s, restore to harbor-west Completed in "
        f"{mainjob.seconds(restore):.1f} s, objects equal {elsewhere.equal}/{elsewhere.total} "
        f"(in place {here.equal}/{here.total})"
    )
    return 0


def refuse_leftovers(state: State) -> None:
    """Raises Failed when west has what is to be restored into it: the demonstration would show nothing."""
    with open_cluster(state.clusters["harbor-west"].kubeconfig) as west:
        there = [name for name in sample.NAMESPACES if exists(west, name)]
    if there:
        raise mainjob.Failed(f"harbor-west has the sample's namespaces already: {', '.join(there)}")


def exists(connection: Connection, namespace: str) -> bool:
    try:
        connection.get(core("namespaces", None, namespace))
    except Missing:
        return False
    return True


def settled(connection: Connection) -> dict[Key, compare.Json]:
    """The sample's objects once two looks a second apart see the same: controllers have done their part."""
    until, before = time.monotonic() + SETTLED_WITHIN, None
    while time.monotonic() < until:
        now = snapshot(connection, sample.NAMESPACES, cluster_scoped())
        if now == before:
            return now
        before = now
        time.sleep(1)
    raise mainjob.Failed("The sample application does not come to rest.")


def checked(name: str, originals: dict[Key, compare.Json], state: State) -> Result:
    """Raises Failed with the first difference."""
    with open_cluster(state.clusters[name].kubeconfig) as connection:
        result = compare.compare(originals, settled(connection))
    if not result.same:
        raise mainjob.Failed(f"{result.equal} of {result.total} objects are equal in {name}; {result.first}")
    return result


def remove_namespaces(connection: Connection, names: Iterable[str] = sample.NAMESPACES) -> None:
    """Delete them and wait until they are gone."""
    for name in names:
        connection.delete(core("namespaces", None, name))
    until = time.monotonic() + GONE_WITHIN
    while any(exists(connection, name) for name in names):
        if time.monotonic() > until:
            raise mainjob.Failed("The namespaces in harbor-east are not gone after a minute.")
        time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())
