"""report.md: the report for a pull request or a terminal."""

from __future__ import annotations

from .model import FleetReport
from .shown import environment
from .views.accuracy import agreement_views, pooled_views, score_rows
from .views.answer import find_answer
from .views.counted import why_not
from .views.differences import differing_facts
from .views.evaluations import evaluation_views
from .views.fleet import result_columns
from .views.gpus import gpu_view
from .views.hosts import clock
from .views.latency import latency_views
from .views.standing import Standing, place_hosts
from .views.throughput import throughput_views
from .views.tokens import token_rows
from .views.versions import plan_digests, version_rows


def render_markdown(report: FleetReport) -> str:
    """Every text of a host goes through the filter ``cell``: nothing is escaped by itself here."""
    placed = place_hosts(report)
    template = environment(html=False).get_template("report.md.j2")
    return template.render(
        report=report,
        placed=placed,
        why_not=why_not,
        standings=Standing,
        answer=find_answer(report, placed),
        facts=differing_facts(report),
        columns=result_columns(report),
        throughput=throughput_views(report, placed),
        latency=latency_views(placed),
        tokens=token_rows(placed),
        pooled=pooled_views(report),
        scores=score_rows(placed),
        agreement=agreement_views(report),
        evaluations=evaluation_views(report, placed),
        gpus=gpu_view(report, placed),
        clock=clock,
        versions=version_rows(report),
        digests=plan_digests(report),
    )
