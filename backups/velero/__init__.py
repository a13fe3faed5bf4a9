"""Velero, as far as the console speaks with it: manifests, reports, calls. The only place that says `velero.io/v1`.

    names      labels, paths, durations; KubeApi, the little this package needs of a connection
    backup     BackupRequest → manifest; object → BackupReport; create, get, list of volumes
    restore    the same for restores
    location   BackupStorageLocations; `secret` the Secrets with their keys
    schedule   Schedules from policies
    deletion   DeleteBackupRequests, the only way the data goes
    adoption   a finished backup made known to another cluster
    modifier   storage-class mapping for one restore
    server     is Velero there, which, does it answer
    rights     what the account in the kubeconfig must be allowed
    explain    Velero's words as sentences
    scope      what may never be backed up or restored
    inventory  what in a cluster decides what becomes of its volumes
    volumes    what a backup will do with each volume
    reading    reads any object without failing
    objects    what all kinds share

Pure but for the calls, which take a connection and raise only `console.lib.errors`. Knows neither Django nor our rows.
"""
