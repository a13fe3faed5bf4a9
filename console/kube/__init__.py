"""The only door to the `kubernetes` package: safe kubeconfigs, a guarded connection, our own errors, raw JSON.

    kubeconfig   text → ClusterAccess, by allow-list; starts nothing, reads nothing, connects to nothing
    connection   ClusterAccess + AddressPolicy → Connection: get, list, create, patch, apply, delete
    errors       every failure of the wire and of the API server as one of `console.lib.errors`
    watch        list-then-watch
    facts        what the console asks a cluster at registration: version, uid, rights, storage classes
    paths        URLs of resources

Knows neither Django nor Velero.
"""
