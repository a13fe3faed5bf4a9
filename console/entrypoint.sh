#!/bin/sh
# The image's entry point: the first word is the role, what follows goes to the role's own command.
# Every role replaces this shell, so that it gets the container's signals itself.
set -eu
umask 077 # what is written is for this user alone
cd "$(dirname "$0")/.."
role=${1:-web}
[ $# -eq 0 ] || shift

case $role in
  web)
    exec gunicorn -c python:console.webserver --bind "${HOST:-0.0.0.0}:${PORT:-8000}" "$@"
    ;;
  worker) exec python manage.py rqworker "$@" ;;
  reconcile | migrate) exec python manage.py "$role" "$@" ;;
  manage) exec python manage.py "$@" ;;
  *)
    echo "“$role” is no role of this image. Name one: web, worker QUEUE, reconcile, migrate, manage COMMAND." >&2
    exit 64
    ;;
esac
