kubectl apply -f - <<END
apiVersion: v1
kind: Secret
type: kubernetes.io/service-account-token
metadata:
  name: drydock-token
  namespace: {{ namespace }}
  labels:
    velero.io/exclude-from-backup: "true"
  annotations:
    kubernetes.io/service-account.name: drydock
END
TOKEN=
until [ -n "$TOKEN" ]; do
  TOKEN=$(kubectl get secret drydock-token --namespace {{ namespace }} --output jsonpath='{.data.token}' | base64 --decode)
  sleep 1
done
