"""The reference of P10: fifty rows of the same table as plain Django shows them to somebody who is signed in.

An application of its own for gunicorn, on the console's database: the middleware that `startproject` writes, a session
in the database, one query with the related rows, one template with the columns of the console's list. No frame around
it, nobody asks what this person may see.
"""

from __future__ import annotations

import os
from typing import Any

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.template import Context, Engine
from django.test.utils import override_settings
from django.urls import path

ROWS = 50
PLAIN = ("django.middleware", "django.contrib")  # whose middleware stays; the console's own and others' goes
PAGE = """{% autoescape on %}<!doctype html><html lang="en"><title>Backups</title><p>{{ person.email }}</p><table>
<thead><tr><th>Name<th>Cluster<th>State<th>Location<th>Size<th>Started<th>Ended<th>By</tr></thead>
<tbody>{% for row in rows %}<tr><td><a href="{% url 'row' row.pk %}">{{ row.name }}</a></td>
<td>{{ row.cluster.name }}</td>
<td>{{ row.get_state_display }}</td><td>{{ row.location.name }}</td><td>{{ row.size|filesizeformat }}</td>
<td>{{ row.started_at|date:"Y-m-d H:i" }}</td><td>{{ row.finished_at|date:"Y-m-d H:i" }}</td>
<td>{{ row.requested_by_name }}</td></tr>{% endfor %}</tbody></table></html>{% endautoescape %}"""
_template = Engine(debug=False).from_string(PAGE)


def rows(request: HttpRequest) -> HttpResponse:
    from backups.models import Backup

    found = Backup.objects.select_related("cluster", "location")[:ROWS]
    return HttpResponse(_template.render(Context({"rows": found, "person": request.user})))


urlpatterns: list[Any] = [path("rows/", rows), path("rows/<uuid:pk>/", rows, name="row")]


def application_of_gunicorn() -> WSGIHandler:
    """To be named on gunicorn's command line."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
    django.setup()
    kept = [each for each in settings.MIDDLEWARE if each.startswith(PLAIN)]
    override_settings(MIDDLEWARE=kept, ROOT_URLCONF=__name__).enable()
    return WSGIHandler()
