"""Which evaluations settings mean, what shards are, and how answers become a score."""

from __future__ import annotations

import pytest
from loadfleet_agent.contract.base import utc_now
from loadfleet_agent.contract.distribution import Distribution
from loadfleet_agent.contract.estimate import estimate_run
from loadfleet_agent.contract.evaluation import (
    MMLU_SUBJECTS,
    EvaluationData,
    EvaluationResult,
    Shard,
    SubjectScore,
    published_score,
)
from loadfleet_agent.contract.evaluation_score import (
    join_subjects,
    score_subjects,
    wilson_interval,
)
from loadfleet_agent.contract.plan import RunPlan
from loadfleet_agent.contract.settings import SettingsError, parse_settings, resolve_plan

LONE_TOKEN = Distribution(count=1, minimum=9, mean=9, p50=9, p90=9, p99=9, maximum=9)


def plan(**settings: object) -> RunPlan:
    given = {
        "profile": "cpu-smoke",
        "model": {"source": "tiny"},
        "dataset": {"source": "synthetic"},
    } | settings
    return resolve_plan(parse_settings(given), run_id="run-1", host="host-a")


def subject(name: str, correct: int, questions: int, of: int | None = None) -> SubjectScore:
    return SubjectScore(
        name=name,
        category=MMLU_SUBJECTS[name],
        questions=questions,
        correct=correct,
        of=questions if of is None else of,
    )


def result(*subjects: SubjectScore, **changes: object) -> EvaluationResult:
    now = utc_now()
    given = {
        "name": "evaluation-mmlu",
        "task": "mmlu",
        "started_utc": now,
        "ended_utc": now,
        "plan_hash": "0" * 64,
        "configuration_sha256": "1" * 64,
        "lm_eval": "0.4.13",
        "split": "test",
        "shots": 0,
        "chat_template": False,
        "data": EvaluationData(
            source="synthetic", label="synthetic", origin="", sha256="2" * 64, questions=10
        ),
        "questions": sum(item.questions for item in subjects),
        "correct": sum(item.correct for item in subjects),
        "invalid": 0,
        "subjects": subjects,
        "score": score_subjects(subjects),
        "prompt_tokens": LONE_TOKEN,
        "output_tokens": 0,
        "duration_s": 1.0,
        "questions_per_second": 1.0,
        "prompt_tokens_per_second": 1.0,
        "output_tokens_per_second": 0.0,
        "prefix_caching": False,
        "metrics": {},
        "labels": (),
        "files": {},
    } | changes
    return EvaluationResult.model_validate(given)


def test_without_mmlu_a_plan_is_as_it_was() -> None:
    assert plan().evaluations == ()
    assert plan().engine.max_model_len == 512
    # Of a plan that was made before there were evaluations.
    assert plan().plan_hash == "56a305d4b27e578e80aeaa12cd020e1bd0135aaa329d0ba42f4b08e2327c174d"


def test_mmlu_takes_the_context_of_five_shots_into_the_timed_run() -> None:
    assert plan(benchmarks=["mlperf", "mmlu"]).engine.max_model_len == 4096
    given = plan(benchmarks=["mlperf", "mmlu"], engine={"max_model_len": 1024})
    assert given.engine.max_model_len == 1024


def test_defaults_of_a_form_are_those_of_its_protocol() -> None:
    made = plan(benchmarks=["mmlu"], mmlu_tasks=["mmlu", "mmlu_llama", "mmlu_cot_llama"])
    assert [(e.shots, e.chat_template) for e in made.evaluations] == [
        (0, False),
        (5, True),
        (0, True),
    ]
    assert made.phases == ()


def test_another_task_is_a_name_or_has_keys() -> None:
    made = plan(evaluations=["gsm8k", {"task": "ifeval", "samples": 3, "chat_template": True}])
    assert [(e.task, e.samples, e.chat_template) for e in made.evaluations] == [
        ("gsm8k", None, False),
        ("ifeval", 3, True),
    ]


@pytest.mark.parametrize(
    ("settings", "key", "said"),
    [
        ({"benchmarks": ["mmul"]}, "benchmarks", "'mlperf' or 'mmlu'"),
        ({"benchmarks": []}, "benchmarks", "name at least one"),
        ({"mmlu_tasks": ["mmlu_lama"]}, "mmlu_tasks", "'mmlu_llama'"),
        (
            {"benchmarks": ["mmlu"], "mmlu_tasks": ["mmlu_cot_llama"], "mmlu_shots": 5},
            "mmlu_shots",
            "has no shots",
        ),
        ({"mmlu_data": {"source": "hub", "revision": "main"}}, "mmlu_data", "revision"),
        ({"evaluations": ["mmlu"]}, "evaluations", "benchmarks: mmlu"),
        ({"evaluations": ["../x"]}, "evaluations", "pattern"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, object], key: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said) as raised:
        plan(**settings)
    assert raised.value.key == key
    assert "\n" not in raised.value.message


def test_hosts_that_share_the_questions_have_one_plan() -> None:
    first, second = (
        plan(benchmarks=["mmlu"], mmlu_shard={"index": index, "of": 2}) for index in (0, 1)
    )
    assert first.plan_hash == second.plan_hash
    assert first != second
    assert plan(benchmarks=["mmlu"]).plan_hash != first.plan_hash


def test_shards_have_each_question_once() -> None:
    for questions in (0, 1, 2, 7, 100):
        shares = [Shard(index=index, of=3).indices(questions) for index in range(3)]
        assert sorted(i for share in shares for i in share) == list(range(questions))


def test_labels_tell_what_was_not_asked_as_published() -> None:
    made = plan(
        benchmarks=["mmlu"],
        mmlu_data={"source": "synthetic"},
        mmlu_split="validation",
        mmlu_samples=1,
        mmlu_shots=2,
    )
    (evaluation,) = made.evaluations
    assert evaluation.labels == ("synthetic-data", "validation-split", "short", "2-shot")


def test_a_published_score_stands_beside_its_own_protocol_alone() -> None:
    score = published_score("mmlu_llama", 5, (), 14_042)
    assert score is not None
    assert score.macro == 69.4
    assert published_score("mmlu_llama", 0, (), 14_042) is None
    assert published_score("mmlu_llama", 5, ("validation-split",), 14_042) is None
    assert published_score("mmlu_llama", 5, (), 14_041) is None
    assert published_score("mmlu", 0, (), 14_042) is None
    assert published_score("mmlu_generative", 0, (), 14_042) is None
    cot = published_score("mmlu_cot_llama", 0, (), 14_042)
    assert cot is not None
    assert cot.macro == 73.0


@pytest.mark.parametrize(
    ("data", "labels"),
    [
        ({"source": "hub"}, ()),
        ({"source": "hub", "revision": "0" * 40}, ("other-revision",)),
        ({"source": "path", "path": "/data/mmlu"}, ("local-copy",)),
    ],
)
def test_questions_that_nobody_compared_are_labelled(
    data: dict[str, str], labels: tuple[str, ...]
) -> None:
    (evaluation,) = plan(benchmarks=["mmlu"], mmlu_data=data).evaluations
    assert evaluation.labels == labels


def test_wilson_s_interval_is_the_published_one() -> None:
    # 69.4 % of 14,042: the standard error is 0.39 points.
    interval = wilson_interval(9745, 14042)
    assert (round(interval.low, 2), round(interval.high, 2)) == (68.63, 70.16)
    # Known values of Wilson's interval for 0 and 10 of 10.
    assert wilson_interval(0, 10).low == 0
    assert round(wilson_interval(0, 10).high, 2) == 27.75
    assert round(wilson_interval(10, 10).low, 2) == 72.25


def test_micro_weighs_questions_and_macro_subjects() -> None:
    score = score_subjects([subject("virology", 9, 10), subject("anatomy", 0, 90)])
    assert score is not None
    assert score.micro == pytest.approx(9.0)
    assert score.macro == pytest.approx(45.0)
    assert score.macro_interval.low < 45 < score.macro_interval.high
    assert score_subjects([]) is None


def test_shards_join_to_the_whole() -> None:
    one = result(subject("virology", 2, 3, 5), shard=Shard(index=0, of=2))
    two = result(subject("virology", 1, 2, 5), shard=Shard(index=1, of=2))
    assert join_subjects([two, one]) == (subject("virology", 3, 5),)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"shard": Shard(index=0, of=2)}, "twice"),
        ({"shard": Shard(index=1, of=3)}, "another of"),
        ({"shots": 5}, "differ in shots"),
        ({"configuration_sha256": "3" * 64}, "other engines"),
        (
            {
                "data": EvaluationData(
                    source="synthetic", label="", origin="", sha256="4" * 64, questions=10
                )
            },
            "hashes differ",
        ),
        ({"subjects": (subject("virology", 1, 1, 5),), "questions": 1}, "4 of 5 questions"),
        (
            {
                "subjects": (subject("virology", 1, 2, 5), subject("anatomy", 0, 1)),
                "questions": 3,
            },
            "lacks",
        ),
    ],
)
def test_what_is_no_other_shard_is_not_joined(change: dict[str, object], said: str) -> None:
    one = result(subject("virology", 2, 3, 5), shard=Shard(index=0, of=2))
    two = result(subject("virology", 1, 2, 5), **({"shard": Shard(index=1, of=2)} | change))
    with pytest.raises(ValueError, match=said):
        join_subjects([one, two])


def test_a_missing_shard_is_named() -> None:
    one = result(subject("virology", 2, 3, 5), shard=Shard(index=0, of=3))
    with pytest.raises(ValueError, match="of 3 shards 2 are missing: 2, 3"):
        join_subjects([one])


def test_counts_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(ValueError, match="add up"):
        result(subject("virology", 2, 3), questions=4)
    with pytest.raises(ValueError, match="do not agree"):
        subject("virology", 4, 3)


@pytest.mark.parametrize(
    ("settings", "questions"),
    [
        ({}, 14_042),
        ({"mmlu_split": "validation"}, 1_531),
        ({"mmlu_samples": 2}, 114),
        ({"mmlu_data": {"source": "synthetic"}}, 456),
        ({"mmlu_data": {"source": "synthetic"}, "mmlu_samples": 100}, 456),
        ({"mmlu_data": {"source": "synthetic", "size": "full"}}, 14_042),
        ({"mmlu_data": {"source": "synthetic", "size": "full"}, "mmlu_split": "validation"}, 228),
        ({"mmlu_data": {"source": "path", "path": "/data/mmlu"}}, None),
    ],
)
def test_an_estimate_counts_the_questions_that_are_known(
    settings: dict[str, object], questions: int | None
) -> None:
    asked = plan(benchmarks=["mmlu"], **settings)
    assert asked.evaluations[0].known_questions == questions
    (step,) = estimate_run(asked).steps
    assert (step.samples, step.samples_is_least) == (questions or 1, questions is None)
