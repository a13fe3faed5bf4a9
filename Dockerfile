# One image for every process of Drydock: docker run drydock web | worker QUEUE | reconcile | migrate | manage COMMAND…
# `console/entrypoint.sh` says what each role starts. Nothing secret is in any layer: keys come from the environment.

FROM velero/velero:v1.18.3 AS velero

FROM python:3.11-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /opt/drydock
COPY requirements.txt ./
# Wheels only: what would have to be compiled stops the build here instead of asking for a compiler.
RUN pip install --require-hashes --only-binary :all: -r requirements.txt
COPY manage.py ./
COPY console console
COPY accounts accounts
COPY workspaces workspaces
COPY backups backups
COPY templates templates
COPY static static
# Settings refuse to load without keys; these two live as long as this line.
RUN SECRET_KEY=$(python -c "import secrets; print(secrets.token_urlsafe(50))") \
    CONSOLE_KEYS=$(python -c "from console.lib.keys import new_key; print(new_key())") \
    python manage.py collectstatic --no-input
# The running process may not write what it compiles, so all of it is compiled here.
RUN python -m compileall -q .

FROM python:3.11-slim
LABEL org.opencontainers.image.title="Drydock" \
      org.opencontainers.image.description="A console for backing up and restoring many Kubernetes clusters with Velero" \
      org.opencontainers.image.version="0.1.0"
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DRYDOCK_VAR=/var/lib/drydock \
    HOST=0.0.0.0 \
    PORT=8000
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin drydock \
    && install -d -m 0700 -o 10001 -g 10001 /var/lib/drydock
COPY --from=velero /velero /usr/local/bin/velero
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/drydock /opt/drydock
WORKDIR /opt/drydock
# By number, so that Kubernetes can see that it is not root (runAsNonRoot). Files belong to root: the process cannot
# change its own code.
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 CMD ["python", "-m", "console.health"]
ENTRYPOINT ["sh", "console/entrypoint.sh"]
CMD ["web"]
