"""What a fleet's evaluations came to, for the report and for mmlu_report.json."""

from __future__ import annotations

from loadfleet_agent.contract.base import Count, Document, Frozen, Name, Rate, UtcTime
from loadfleet_agent.contract.evaluation import (
    Category,
    EvaluationScore,
    MetricValue,
    PublishedScore,
    SubjectScore,
)
from pydantic import Field


class CategoryScore(Frozen):
    """The subjects of one category together."""

    category: Category
    score: EvaluationScore


class HostEvaluation(Frozen):
    """One host's part."""

    host: str
    questions: Count = Field(description="asked of it")
    correct: Count | None = Field(description="None: not a task of right and wrong answers")
    invalid: Count | None = Field(description="answers that name no letter")
    micro: float | None = Field(description="percent of its questions; None: not MMLU")
    macro: float | None = Field(description="mean over its subjects, percent")
    shard: Count = Field(description="0-based; 0 where each host is asked all")
    questions_per_second: Rate
    prefix_caching: bool
    identical: float | None = Field(
        default=None,
        description="share of its answers that most hosts gave, 0 to 1; None: not compared",
    )
    metrics: dict[str, dict[str, MetricValue]] = Field(
        default={}, description="of a task that is not MMLU, as lm_eval gave them"
    )
    passed: bool | None = Field(
        description="by its own answers, or of shards by those of all; None: nothing is published"
    )
    reason: str = Field(description="why it missed, or why nothing was held against it")


class Paired(Frozen):
    """Two plans of one fleet on the same questions, by McNemar's test.

    Each question counts once, by the answers of one host of each: what counts are the questions
    that only one of the two answers rightly.
    """

    group: str = Field(description="against which")
    host: str = Field(description="whose answers stand for it")
    questions: Count
    only_here: Count = Field(description="right here and wrong there")
    only_there: Count
    difference: float = Field(description="percentage points of all questions, here less there")
    p_value: float = Field(ge=0, le=1, description="exact, two-sided: no difference at all")


class WrongAnswer(Frozen):
    """A question that a host answered wrongly, to be looked at."""

    host: str
    subject: str
    index: Count = Field(description="of the question in its subject")
    question: str
    choices: tuple[str, ...]
    expected: str
    answer: str = Field(description="its letter; '' where it named none")
    response: str = Field(
        description="as it was generated, the middle of a long one left out; '' where nothing was"
    )
    prompt_tokens: Count
    prompt: str = Field(
        description="as it was asked, the middle of a long one left out; '' where it was not kept"
    )


class FleetEvaluation(Frozen):
    """One task over the hosts of one group."""

    group: str
    task: str
    split: str
    shots: Count | None
    chat_template: bool
    lm_eval: str
    shards: Count = Field(description="1: each host was asked all questions")
    hosts: tuple[HostEvaluation, ...] = Field(min_length=1)
    subjects: tuple[SubjectScore, ...] = Field(
        description="of MMLU: the shards joined, or the mean host's, whose right answers are "
        "rounded to whole ones; empty for another task or where shards are missing"
    )
    categories: tuple[CategoryScore, ...]
    score: EvaluationScore | None = Field(
        description="of all questions, each once; None for another task or where shards are missing"
    )
    missing: str = Field(description="why there is no score of the whole, or ''")
    published: PublishedScore | None = Field(description="where one may stand beside it")
    least_macro: float | None = Field(description="that passes, percent: a share of the published")
    passed: bool | None = Field(
        description="False where a host missed; None where nothing is published for it"
    )
    reason: str = Field(description="why it was missed, or why nothing was held against it")
    labels: tuple[str, ...]
    compared: Count = Field(default=0, description="questions that two hosts or more answered")
    identical: float | None = Field(
        default=None, description="share of them with one answer on all hosts, 0 to 1"
    )
    paired: Paired | None = Field(
        default=None, description="against the bfloat16 plan of the same fleet, where there is one"
    )
    wrong: tuple[WrongAnswer, ...] = Field(
        default=(), max_length=60, description="of one host, the weakest subjects first"
    )


class EvaluationReport(Document):
    """mmlu_report.json: the evaluations of a run by themselves."""

    run_id: Name
    created_utc: UtcTime
    evaluations: tuple[FleetEvaluation, ...]
    definitions: dict[str, str]
