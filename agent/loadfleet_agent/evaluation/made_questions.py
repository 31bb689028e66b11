"""Made-up questions of MMLU's subjects, in the form in which the hub has MMLU; no download.

The same seed gives the same questions on every host. They are sums in words, so each has one right
answer and a model that can add has it; what MMLU asks of a model they do not.
"""

from __future__ import annotations

import random
import re
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from ..contract.evaluation import LETTERS, MADE_QUESTIONS, MMLU_SUBJECTS, SyntheticMmlu
from ..contract.files import write_atomic

_TEST_QUESTIONS = (
    "abstract_algebra 100 anatomy 135 astronomy 152 business_ethics 100 clinical_knowledge 265 "
    "college_biology 144 college_chemistry 100 college_computer_science 100 "
    "college_mathematics 100 college_medicine 173 college_physics 102 computer_security 100 "
    "conceptual_physics 235 econometrics 114 electrical_engineering 145 "
    "elementary_mathematics 378 formal_logic 126 global_facts 100 high_school_biology 310 "
    "high_school_chemistry 203 high_school_computer_science 100 "
    "high_school_european_history 165 high_school_geography 198 "
    "high_school_government_and_politics 193 high_school_macroeconomics 390 "
    "high_school_mathematics 270 high_school_microeconomics 238 high_school_physics 151 "
    "high_school_psychology 545 high_school_statistics 216 high_school_us_history 204 "
    "high_school_world_history 237 human_aging 223 human_sexuality 131 international_law 121 "
    "jurisprudence 108 logical_fallacies 163 machine_learning 112 management 103 marketing 234 "
    "medical_genetics 100 miscellaneous 783 moral_disputes 346 moral_scenarios 895 nutrition 306 "
    "philosophy 311 prehistory 324 professional_accounting 282 professional_law 1534 "
    "professional_medicine 272 professional_psychology 612 public_relations 110 "
    "security_studies 245 sociology 201 us_foreign_policy 100 virology 166 world_religions 171"
)
TEST_QUESTIONS = {
    subject: int(count) for subject, count in re.findall(r"(\w+) (\d+)", _TEST_QUESTIONS)
}
"""Of each subject in cais/mmlu's test split."""
GENERATOR = 1
"""Counted on when a seed would give other questions."""
_STORIES = (
    "A course on {subject} has {a} students, and {b} more enrol. How many students has it then?",
    "A library keeps {a} books on {subject} and buys {b} more. How many has it then?",
    "An exam in {subject} has {a} questions in its first part and {b} in its second. How many "
    "questions are there?",
    "Two laboratories of {subject} made {a} and {b} measurements. How many are there together?",
)


def made_folder(home: Path, data: SyntheticMmlu) -> Path:
    """Where the questions of a seed are kept."""
    size = "" if data.size == "small" else f"-{data.size}"
    return home / "cache" / "evaluations" / f"made-questions-{GENERATOR}-seed{data.seed}{size}"


def make_questions(folder: Path, data: SyntheticMmlu) -> None:
    """Writes the folder, a dataset of a configuration a subject, whole or not at all."""
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    for subject in MMLU_SUBJECTS:
        (temporary / subject).mkdir(parents=True)
        for split, count in _counts(subject, data).items():
            rows = [
                _question(subject, random.Random(f"{data.seed}-{subject}-{split}-{i}"))
                for i in range(count)
            ]
            pq.write_table(
                pa.Table.from_pylist(rows, schema=_SCHEMA), temporary / _file(subject, split)
            )
    write_atomic(temporary / "README.md", f"---\n{yaml.safe_dump(_card(), sort_keys=False)}---\n")
    shutil.rmtree(folder, ignore_errors=True)
    temporary.replace(folder)


def _counts(subject: str, data: SyntheticMmlu) -> dict[str, int]:
    """Questions of each split; a size adds questions and changes none."""
    return MADE_QUESTIONS | ({"test": TEST_QUESTIONS[subject]} if data.size == "full" else {})


_SCHEMA = pa.schema(
    {
        "question": pa.string(),
        "subject": pa.string(),
        "choices": pa.list_(pa.string()),
        "answer": pa.int64(),
    }
)


def _file(subject: str, split: str) -> str:
    return f"{subject}/{split}-00000-of-00001.parquet"


def _question(subject: str, generator: random.Random) -> dict[str, Any]:
    a, b = generator.randint(11, 89), generator.randint(11, 89)
    wrong = generator.sample([n for n in range(a + b - 12, a + b + 13) if n != a + b], 3)
    choices = [a + b, *wrong]
    generator.shuffle(choices)
    story = generator.choice(_STORIES)
    return {
        "question": story.format(subject=subject.replace("_", " "), a=a, b=b),
        "subject": subject,
        "choices": [str(choice) for choice in choices],
        "answer": choices.index(a + b),
    }


def _card() -> dict[str, Any]:
    features = [
        {"name": "question", "dtype": "string"},
        {"name": "subject", "dtype": "string"},
        {"name": "choices", "sequence": "string"},
        {
            "name": "answer",
            "dtype": {"class_label": {"names": {str(i): x for i, x in enumerate(LETTERS)}}},
        },
    ]
    return {
        "dataset_info": [
            {"config_name": subject, "features": features} for subject in MMLU_SUBJECTS
        ],
        "configs": [
            {
                "config_name": subject,
                "data_files": [
                    {"split": split, "path": f"{subject}/{split}-*"} for split in MADE_QUESTIONS
                ],
            }
            for subject in MMLU_SUBJECTS
        ],
    }
