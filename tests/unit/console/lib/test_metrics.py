"""Figures in Prometheus' text format."""

from __future__ import annotations

from console.lib import metrics


def test_rows_become_gauges() -> None:
    rows = [
        ("drydock_rows", {"kind": "backup", "state": state}, count)
        for state, count in (("running", 2.0), ("failed", 0.0))
    ]
    text = metrics.scrape(rows).decode()
    assert "# TYPE drydock_rows gauge" in text
    assert 'drydock_rows{kind="backup",state="running"} 2.0' in text
    assert 'drydock_rows{kind="backup",state="failed"} 0.0' in text
    assert text.count("# TYPE drydock_rows gauge") == 1


def test_own_counters_are_there_and_scraping_twice_does_not_collide() -> None:
    before = metrics.jobs_total.labels("test_job", "done")._value.get()
    metrics.jobs_total.labels("test_job", "done").inc()
    for _ in range(2):
        text = metrics.scrape([("drydock_rows", {"state": "x"}, 1.0)]).decode()
    assert f'drydock_jobs_total{{job="test_job",outcome="done"}} {before + 1}' in text
