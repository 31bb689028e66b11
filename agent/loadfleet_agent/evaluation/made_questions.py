"""Made-up questions of MMLU's subjects, in the form in which the hub has MMLU; no download.

The same seed gives the same questions on every host. They are sums in words, so each has one right
answer and a model that can add has it; what MMLU asks of a model they do not.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from ..contract.evaluation import LETTERS, MMLU_SUBJECTS
from ..contract.files import write_atomic

SPLITS = {"test": 8, "validation": 4, "dev": 5}
"""Questions of each subject; dev as many as MMLU has, the others few: all of them in a minute."""
GENERATOR = 1
"""Counted on when a seed would give other questions."""
_STORIES = (
    "A course on {subject} has {a} students, and {b} more enrol. How many students has it then?",
    "A library keeps {a} books on {subject} and buys {b} more. How many has it then?",
    "An exam in {subject} has {a} questions in its first part and {b} in its second. How many "
    "questions are there?",
    "Two laboratories of {subject} made {a} and {b} measurements. How many are there together?",
)


def made_folder(home: Path, seed: int) -> Path:
    """Where the questions of a seed are kept."""
    return home / "cache" / "evaluations" / f"made-questions-{GENERATOR}-seed{seed}"


def make_questions(folder: Path, seed: int) -> None:
    """Writes the folder, a dataset of a configuration a subject, whole or not at all."""
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    for subject in MMLU_SUBJECTS:
        (temporary / subject).mkdir(parents=True)
        for split, count in SPLITS.items():
            rows = [
                _question(subject, random.Random(f"{seed}-{subject}-{split}-{i}"))
                for i in range(count)
            ]
            pq.write_table(
                pa.Table.from_pylist(rows, schema=_SCHEMA), temporary / _file(subject, split)
            )
    write_atomic(temporary / "README.md", f"---\n{yaml.safe_dump(_card(), sort_keys=False)}---\n")
    shutil.rmtree(folder, ignore_errors=True)
    temporary.replace(folder)


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
                    {"split": split, "path": f"{subject}/{split}-*"} for split in SPLITS
                ],
            }
            for subject in MMLU_SUBJECTS
        ],
    }
