"""What the console counts about itself. Only door to `prometheus_client`.

Processes keep their own figures; `/metrics` answers for the web process that was asked, plus what the database says
(rows by state), which `console.views.metrics` adds through `gauge_text`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

request_seconds = Histogram(
    "drydock_request_seconds",
    "Time a page took, in seconds",
    ["route", "method", "status"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
jobs_total = Counter("drydock_jobs_total", "Jobs by name and outcome", ["job", "outcome"])
redriven_total = Counter("drydock_redriven_total", "Rows whose next step was due and nobody held", ["kind"])
handed_on_total = Counter("drydock_handed_on_total", "Jobs that took too long and went on in the slow queue")
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def scrape(rows: Iterable[tuple[str, Mapping[str, str], float]]) -> bytes:
    """This process's figures and `rows` of (gauge name, labels, value), in Prometheus' text format."""
    registry, gauges = CollectorRegistry(), {}
    for name, labels, value in rows:
        if name not in gauges:
            gauges[name] = Gauge(name, name.replace("_", " "), list(labels), registry=registry)
        gauges[name].labels(*labels.values()).set(value)
    return generate_latest() + generate_latest(registry)
