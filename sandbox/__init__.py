"""The real stack on one machine: two Kubernetes API servers, Velero on each, an S3 server. No Docker, no kubelet.

    python -m sandbox up        build the programs if needed, start everything
    python -m sandbox status    what runs, what does not
    python -m sandbox down      stop everything; data stays
    python -m sandbox wipe      stop everything and delete the data

How the processes hang together: a *guard* holds the home's lock and looks after a *keeper*; the keeper owns every
program. Whoever of them dies, by whatever signal, the rest ends too (`guard`). Others look at `state.read_state` and
give orders through `control`; this package knows nothing of the console.
"""
