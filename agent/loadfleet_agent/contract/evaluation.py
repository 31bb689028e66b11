"""Evaluations: accuracy of the deployment that was timed, by EleutherAI's lm-evaluation-harness.

MMLU in four of the harness's forms, each of its other tasks by its name: what is asked, of which
questions, and what came out. Names are the harness's own (``lm_eval``).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from .base import Amount, Count, Figure, Frozen, Integer, Line, Rate, Sha256, Text
from .distribution import Timed, TokenCounts

MMLU_REPO = "cais/mmlu"
MMLU_COMMIT = "c30699e8356da336a370243923dbaf21066bb9fe"
"""Of cais/mmlu on the Hugging Face hub; pinned, for a branch may move."""
MMLU_QUESTIONS = {"test": 14_042, "validation": 1_531}
"""Of the 57 subjects together (Hendrycks et al., arXiv 2009.03300, and the dataset's card)."""
MMLU_SPLITS = ("test", "validation", "dev")
MADE_QUESTIONS = {"test": 8, "validation": 4, "dev": 5}
"""Made-up ones of each subject: of dev as many as MMLU has, of the others few."""
MMLU_SHOTS = 5
"""The dev split has five questions of each subject, and no more."""
MMLU_MAX_MODEL_LEN = 4_096
"""Least context where MMLU is asked for: five shots and their question fit, in every subject."""
LETTERS = ("A", "B", "C", "D")

MOST_EVALUATIONS = 40
MOST_SUBJECTS = 200
MOST_SHARDS = 10_000


class Benchmark(StrEnum):
    """What a run measures."""

    MLPERF = "mlperf"
    MMLU = "mmlu"


class MmluTask(StrEnum):
    """MMLU as lm_eval has it; each form has numbers of its own that no other compares with."""

    MMLU = "mmlu"
    """The likeliest of the four letters after 'Answer:'."""
    GENERATIVE = "mmlu_generative"
    """The same prompt; the letter is generated."""
    LLAMA = "mmlu_llama"
    """Meta's: five shots as turns of a chat, then 'The best answer is'."""
    COT_LLAMA = "mmlu_cot_llama"
    """Meta's chain of thought: no shots, up to 1,024 tokens, the last 'best answer is'."""

    @property
    def chat(self) -> bool:
        """Whether it is asked in the model's chat template, as the harness documents it."""
        return self in (MmluTask.LLAMA, MmluTask.COT_LLAMA)

    @property
    def shots(self) -> int:
        """Examples before each question unless the user says otherwise."""
        return MMLU_SHOTS if self is MmluTask.LLAMA else 0


MmluSplit = Literal["test", "validation"]
Category = Literal["stem", "humanities", "social_sciences", "other"]

_STEM = (
    "abstract_algebra anatomy astronomy college_biology college_chemistry "
    "college_computer_science college_mathematics college_physics computer_security "
    "conceptual_physics electrical_engineering elementary_mathematics high_school_biology "
    "high_school_chemistry high_school_computer_science high_school_mathematics "
    "high_school_physics high_school_statistics machine_learning"
)
_HUMANITIES = (
    "formal_logic high_school_european_history high_school_us_history high_school_world_history "
    "international_law jurisprudence logical_fallacies moral_disputes moral_scenarios philosophy "
    "prehistory professional_law world_religions"
)
_SOCIAL_SCIENCES = (
    "econometrics high_school_geography high_school_government_and_politics "
    "high_school_macroeconomics high_school_microeconomics high_school_psychology human_sexuality "
    "professional_psychology public_relations security_studies sociology us_foreign_policy"
)
_OTHER = (
    "business_ethics clinical_knowledge college_medicine global_facts human_aging management "
    "marketing medical_genetics miscellaneous nutrition professional_accounting "
    "professional_medicine virology"
)
_CATEGORIES: dict[Category, str] = {
    "stem": _STEM,
    "humanities": _HUMANITIES,
    "social_sciences": _SOCIAL_SCIENCES,
    "other": _OTHER,
}
MMLU_SUBJECTS: dict[str, Category] = dict(
    sorted(
        (subject, category)
        for category, subjects in _CATEGORIES.items()
        for subject in subjects.split()
    )
)
"""Subject to category, by the groups of lm_eval 0.4.13."""


class HubMmlu(Frozen):
    """cais/mmlu in the host's Hugging Face cache, fetched before the run and never in it."""

    source: Literal["hub"] = "hub"
    revision: str = Field(default=MMLU_COMMIT, pattern=r"^[0-9a-f]{40}$", description="commit")

    @property
    def repo(self) -> str:
        """On the hub. Another's questions are brought as a folder."""
        return MMLU_REPO


class MmluFolder(Frozen):
    """A copy of it on the host, in the hub's own format: README.md and Parquet files."""

    source: Literal["path"] = "path"
    path: str


class SyntheticMmlu(Frozen):
    """Made-up questions of all subjects in the same format, seeded; never an MMLU result."""

    source: Literal["synthetic"] = "synthetic"
    seed: int = Field(default=0, ge=0, lt=2**32)
    size: Literal["small", "full"] = Field(
        default="small",
        description="questions of the test split: small 456, full 14,042, as many of each subject "
        "as MMLU has",
    )


MmluData = Annotated[HubMmlu | MmluFolder | SyntheticMmlu, Field(discriminator="source")]
TaskName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]


class NamedTask(Frozen):
    """Any other task of lm_eval; its data is that which lm_eval finds in the host's caches."""

    task: TaskName
    shots: int | None = Field(
        default=None, ge=0, le=100, description="examples before a question; default: the task's"
    )
    samples: int | None = Field(
        default=None, ge=1, description="its first questions only; default: all"
    )
    chat_template: bool = Field(
        default=False, description="ask in the model's chat template, shots as turns of it"
    )

    @model_validator(mode="after")
    def _is_not_mmlu(self) -> NamedTask:
        if self.task in tuple(MmluTask):
            raise ValueError(f"{self.task} is asked for with benchmarks: mmlu and mmlu_tasks")
        return self


def _as_task(value: Any) -> Any:
    """A name that stands alone is a task as it is."""
    return {"task": value} if isinstance(value, str) else value


NamedTasks = tuple[
    Annotated[NamedTask, BeforeValidator(_as_task, json_schema_input_type=NamedTask | str)], ...
]


class Shard(Frozen):
    """Which share of the questions a host is asked: of each subject, those whose index in it
    leaves ``index`` when divided by ``of``."""

    index: int = Field(default=0, ge=0, lt=MOST_SHARDS)
    of: int = Field(default=1, ge=1, le=MOST_SHARDS)

    @model_validator(mode="after")
    def _is_one_of_them(self) -> Shard:
        if self.index >= self.of:
            raise ValueError("index must be below of")
        return self

    def indices(self, questions: int) -> range:
        """Of a subject with so many questions."""
        return range(self.index, questions, self.of)


class EvaluationPlan(Frozen):
    """One task of lm_eval as it will be run, every default of MMLU filled in."""

    task: TaskName
    shots: int | None = Field(default=None, ge=0, le=100, description="None: the task's own")
    split: MmluSplit | None = Field(default=None, description="of MMLU; None: the task's own")
    samples: int | None = Field(
        default=None, ge=1, description="first questions of each subject or task; None: all"
    )
    data: MmluData | None = Field(
        default=None, description="of MMLU; None: the task's own, from the host's caches"
    )
    chat_template: bool = Field(
        default=False, description="in the model's chat template, the shots as turns of it"
    )
    shard: Shard = Shard()

    @model_validator(mode="after")
    def _is_consistent(self) -> EvaluationPlan:
        if self.mmlu is None:
            if self.data is not None or self.split is not None or self.shard.of > 1:
                raise ValueError(f"{self.task} is not MMLU: it has no data, split and shard")
            return self
        if self.data is None or self.split is None or self.shots is None:
            raise ValueError(f"{self.task} needs data, split and shots")
        if self.shots > MMLU_SHOTS:
            raise ValueError(f"MMLU has {MMLU_SHOTS} examples of a subject, not {self.shots}")
        if self.mmlu is MmluTask.COT_LLAMA and self.shots:
            raise ValueError("mmlu_cot_llama has no shots: leave mmlu_shots out, or the task")
        return self

    @property
    def mmlu(self) -> MmluTask | None:
        """Which form of MMLU it is; None: another task."""
        return MmluTask(self.task) if self.task in tuple(MmluTask) else None

    @property
    def known_questions(self) -> int | None:
        """Of all subjects and shards, as far as it is known before the data is looked at."""
        if self.split is None or self.data is None or self.data.source == "path":
            return None
        subjects = len(MMLU_SUBJECTS)
        whole = MMLU_QUESTIONS[self.split]
        if self.data.source == "synthetic" and (self.data.size, self.split) != ("full", "test"):
            whole = subjects * MADE_QUESTIONS[self.split]
        return whole if self.samples is None else min(whole, subjects * self.samples)

    @property
    def name(self) -> str:
        """Name of its phase and of its folder, e.g. ``evaluation-mmlu_llama``."""
        return evaluation_name(self.task)

    @property
    def labels(self) -> tuple[str, ...]:
        """What keeps its numbers from being those of the task, as far as the plan tells."""
        found = []
        if self.data is not None and self.data.source == "synthetic":
            found.append("synthetic-data")
        # Nobody has compared these with the questions that the published scores are of.
        if self.data is not None and self.data.source == "path":
            found.append("local-copy")
        if isinstance(self.data, HubMmlu) and self.data.revision != MMLU_COMMIT:
            found.append("other-revision")
        if self.split == "validation":
            found.append("validation-split")
        if self.samples is not None:
            found.append("short")
        usual = None if self.mmlu is None else self.mmlu.shots
        if self.mmlu is not None and self.shots != usual:
            found.append(f"{self.shots}-shot")
        return tuple(found)


def evaluation_name(task: str) -> str:
    """Name of the phase that evaluates a task."""
    return f"evaluation-{task}"


class PublishedScore(Frozen):
    """What the model's makers say of it, to be held beside a result of the same protocol."""

    model: Line
    macro: Figure = Field(description="mean over the subjects, percent")
    micro: Figure | None = Field(default=None, description="share of all questions, percent")
    protocol: Line
    source: Line


_MODEL_CARD = "meta-llama/llama-models, models/llama3_1/MODEL_CARD.md"
_INSTRUCT = "meta-llama/Llama-3.1-8B-Instruct"
PUBLISHED: dict[MmluTask, PublishedScore] = {
    MmluTask.LLAMA: PublishedScore(
        model=_INSTRUCT,
        macro=69.4,
        micro=69.44,
        protocol="MMLU, 5-shot, the letter generated",
        source=f"{_MODEL_CARD} and eval_details.md",
    ),
    MmluTask.COT_LLAMA: PublishedScore(
        model=_INSTRUCT, macro=73.0, protocol="MMLU, 0-shot, CoT", source=_MODEL_CARD
    ),
}
"""By the form that follows Meta's protocol. ``mmlu`` and ``mmlu_generative`` are other questions
with other numbers: nothing is published for them that may stand beside."""


def published_score(
    task: str, shots: int | None, labels: tuple[str, ...], questions: int
) -> PublishedScore | None:
    """The reference of a task, or None where it must not be compared: another protocol, other
    questions, another model, or one without weights.

    ``labels``: of the result; any of them keeps it from being that of the task. ``questions``: of
    the whole split.
    """
    if task not in tuple(MmluTask) or labels or shots != MmluTask(task).shots:
        return None
    if questions != MMLU_QUESTIONS["test"]:
        return None
    return PUBLISHED.get(MmluTask(task))


class EvaluationData(Frozen):
    """Which questions were really asked."""

    source: Line = Field(description="hub, path or synthetic; lm_eval: as the task finds them")
    label: Line = Field(description="what they are, e.g. cais/mmlu; or synthetic")
    origin: Text = Field(description="repository and commit, folder, or generator and seed")
    sha256: Sha256 = Field(
        description="over subject, index, question, choices and answer of each question of the "
        "whole split in order, also of those of other shards"
    )
    questions: Count = Field(description="of the whole split")


class SubjectScore(Frozen):
    """One subject of MMLU."""

    name: Line
    category: Category
    questions: Count = Field(description="asked here")
    correct: Count
    of: Count = Field(description="questions that all shards together are asked")

    @model_validator(mode="after")
    def _counts_agree(self) -> SubjectScore:
        if not self.correct <= self.questions <= self.of:
            raise ValueError(f"{self.name}: correct, questions and of do not agree")
        return self


class Interval(Frozen):
    """Of 95 %, in percent."""

    low: float = Field(ge=0, le=100)
    high: float = Field(ge=0, le=100)


class EvaluationScore(Frozen):
    """Of a set of subjects, in percent."""

    questions: Count
    correct: Count
    micro: float = Field(ge=0, le=100, description="share of all questions")
    micro_interval: Interval = Field(description="Wilson's")
    macro: float = Field(ge=0, le=100, description="mean over the subjects")
    macro_interval: Interval = Field(description="normal, the subjects as strata")


MetricValue = Integer | Figure | Line | None


class EvaluationResult(Timed):
    """evaluation.json: one task of lm_eval over the run's own engine."""

    name: Line
    task: TaskName
    plan_hash: Sha256
    configuration_sha256: Sha256 = Field(
        description="as of the LoadGen phases: equal where engine, model and settings are"
    )
    lm_eval: Line = Field(description="version of the harness")
    split: Line = Field(description="of the data, e.g. test; '' where the task does not tell")
    shots: Count | None = Field(description="None: a group whose tasks differ")
    chat_template: bool
    shard: Shard = Shard()
    data: EvaluationData
    questions: Count = Field(description="asked here")
    correct: Count | None = Field(description="None: the task is not of right and wrong answers")
    invalid: Count | None = Field(description="answers that name no letter; None: not MMLU")
    subjects: tuple[SubjectScore, ...] = Field(default=(), max_length=MOST_SUBJECTS)
    score: EvaluationScore | None = Field(description="of the questions asked here; None: not MMLU")
    prompt_tokens: TokenCounts
    output_tokens: Count = Field(description="generated, of all answers")
    duration_s: Amount = Field(
        description="from lm_eval's requests to the answers: prompts made to token ids, and the "
        "engine's work; without what is before and after"
    )
    questions_per_second: Rate
    prompt_tokens_per_second: Rate
    output_tokens_per_second: Rate
    prefix_caching: bool = Field(description="whether prompts shared the KV blocks of their shots")
    metrics: dict[Line, dict[Line, MetricValue]] = Field(
        max_length=MOST_SUBJECTS,
        description="task or group to its metrics, unchanged as lm_eval gives them",
    )
    published: PublishedScore | None = Field(
        default=None, description="where one may stand beside it"
    )
    labels: tuple[Line, ...] = Field(
        max_length=20, description="what keeps the numbers from being those of the task"
    )
    files: dict[Line, Sha256] = Field(max_length=100, description="files of the phase's folder")

    @model_validator(mode="after")
    def _is_named_by_what_it_is(self) -> EvaluationResult:
        if self.name != evaluation_name(self.task):
            raise ValueError(f"name is not {evaluation_name(self.task)}")
        if len({item.name for item in self.subjects}) < len(self.subjects):
            raise ValueError("subjects: one is told twice")
        if self.subjects and (
            sum(item.questions for item in self.subjects) != self.questions
            or sum(item.correct for item in self.subjects) != self.correct
        ):
            raise ValueError("the subjects do not add up to questions and correct")
        return self
