"""report.html: one self-contained page."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files

from markupsafe import Markup

from .model import FleetReport
from .shown import environment
from .views.accuracy import agreement_views, pooled_views, score_rows
from .views.anchor import anchor
from .views.answer import find_answer
from .views.counted import why_not
from .views.differences import differing_facts
from .views.evaluations import evaluation_views
from .views.fleet import cells, host_columns, rouge_l
from .views.gpus import gpu_view
from .views.hosts import clock, host_sections
from .views.latency import latency_views
from .views.standing import Standing, place_hosts
from .views.throughput import throughput_views
from .views.timeline import timeline_view
from .views.tokens import token_rows
from .views.versions import plan_digests, version_rows

SCRIPT = "report.js"
STYLE = "report.css"


def render_html(report: FleetReport) -> str:
    """The page. It asks for nothing: its policy allows its own style and script alone."""
    placed = place_hosts(report)
    script = _asset(SCRIPT)
    template = environment(html=True).get_template("report.html.j2")
    return template.render(
        report=report,
        placed=placed,
        why_not=why_not,
        standings=Standing,
        answer=find_answer(report, placed),
        facts=differing_facts(report),
        cells=cells(placed),
        columns=host_columns(report),
        rouge_l=rouge_l,
        throughput=throughput_views(report, placed),
        latency=latency_views(placed),
        timeline=timeline_view(report, placed),
        tokens=token_rows(placed),
        pooled=pooled_views(report),
        scores=score_rows(placed),
        agreement=agreement_views(report),
        evaluations=evaluation_views(report, placed),
        gpus=gpu_view(report, placed),
        hosts=host_sections(report, placed),
        clock=clock,
        anchor=anchor,
        versions=version_rows(report),
        digests=plan_digests(report),
        style=Markup(_asset(STYLE)),
        script=Markup(script),
        policy=_policy(script),
    )


def _asset(name: str) -> str:
    """Text of ours that stands in the page as it is."""
    return (files(__package__) / "templates" / "html" / name).read_text(encoding="utf-8")


def _policy(script: str) -> str:
    """Content-Security-Policy that runs this script and loads nothing."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
