TOKEN=$(kubectl create token drydock --namespace {{ namespace }} --duration 2160h)
