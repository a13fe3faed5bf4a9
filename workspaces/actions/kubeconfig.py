"""What can be said of a kubeconfig by reading it alone, and what becomes of one once it has been taken."""

from __future__ import annotations

from django.utils import timezone

from console.kube.kubeconfig import contexts, parse_kubeconfig
from console.lib.errors import BadInput
from workspaces.models import Cluster, ClusterCheck
from workspaces.models.draft import LIVES


def contexts_in(kubeconfig: str) -> list[str]:
    """The contexts to choose from; none where the text is no kubeconfig."""
    try:
        return contexts(kubeconfig)
    except BadInput:
        return []


def refuse_unusable(kubeconfig: str, context: str) -> None:
    """Raises BadInput(field="kubeconfig") for a text the console would not connect with."""
    parse_kubeconfig(kubeconfig, context=context or None)


def settle_check(*, check: ClusterCheck, cluster: Cluster) -> None:
    """The cluster has taken over what was tried: the check becomes one of its own, without the credentials."""
    check.cluster, check.kubeconfig = cluster, None
    check.save(update_fields=["cluster", "kubeconfig"])


def purge_tried() -> int:
    """Forget kubeconfigs that were tried and not taken within a day, as drafts are; how many there were."""
    tried = ClusterCheck.objects.filter(kubeconfig__isnull=False, created_at__lt=timezone.now() - LIVES)
    abandoned = tried.filter(cluster=None).delete()[0]
    return abandoned + tried.update(kubeconfig=None)
