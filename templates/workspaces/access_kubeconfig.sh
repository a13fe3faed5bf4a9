SERVER=$(kubectl config view --minify --raw --flatten --output jsonpath='{.clusters[0].cluster.server}')
CA=$(kubectl config view --minify --raw --flatten --output jsonpath='{.clusters[0].cluster.certificate-authority-data}')
(umask 077; cat > drydock.kubeconfig) <<END
apiVersion: v1
kind: Config
current-context: drydock
clusters:
- name: cluster
  cluster:
    server: $SERVER
    certificate-authority-data: $CA
users:
- name: drydock
  user:
    token: $TOKEN
contexts:
- name: drydock
  context:
    cluster: cluster
    user: drydock
END
