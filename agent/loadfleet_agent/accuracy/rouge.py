"""ROUGE exactly as MLPerf's ``language/llama3.1-8b/evaluation.py`` computes it.

Steps of that script (mlcommons/inference at b66003e1): keep the first entry of each sample in
the accuracy log; decode without special tokens; strip; one sentence a line
(nltk.sent_tokenize) in prediction and reference; rouge-score with Porter stemmer; the plain
mean of F1 times 100, rounded to 4 places; gen_len is the number of characters of the
processed predictions, not of tokens.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from ..contract.result import RougeScore
from ..model.tokenizer import ModelTokenizer
from .accuracy_log import LoggedAnswer
from .pair_scores import METRICS, score_chunk, start_scorer

CHUNK = 64


def score_answers(
    answers: Sequence[LoggedAnswer],
    references: Sequence[str],
    tokenizer: ModelTokenizer,
    nltk_data: Path,
    progress: Callable[[int, int], None],
) -> RougeScore:
    """The score of all answers, on all cores. ``progress`` is called with done and total.

    Of a sample's entries the first counts.
    """
    first: dict[int, list[int]] = {}
    for answer in answers:
        first.setdefault(answer.sample_index, answer.tokens)
    indices = list(first)

    def chunks() -> Iterator[list[tuple[str, str]]]:
        # Decoded one by one: the first are scored meanwhile.
        for start in range(0, len(indices), CHUNK):
            part = indices[start : start + CHUNK]
            texts = tokenizer.decode([first[index] for index in part])
            yield [(text, references[index]) for index, text in zip(part, texts, strict=True)]

    sums = np.zeros(len(METRICS))
    characters = done = 0
    workers = min(len(os.sched_getaffinity(0)), math.ceil(len(indices) / CHUNK))
    with ProcessPoolExecutor(
        workers,
        mp_context=get_context("spawn"),
        initializer=start_scorer,
        initargs=(str(nltk_data), os.getpid()),
    ) as pool:
        # Summed in the order of the log, so that the same answers give the same digits.
        for scores, length, count in pool.map(score_chunk, chunks()):
            sums += np.sum(np.array(scores), axis=0)
            characters += length
            done += count
            progress(done, len(indices))
    means = {
        name: round(float(total) / len(indices) * 100, 4)
        for name, total in zip(METRICS, sums, strict=True)
    }
    return RougeScore(**means, gen_len=characters, gen_num=len(indices))


def accuracy_text(score: RougeScore) -> str:
    """What MLPerf's evaluation prints and a submission keeps as accuracy.txt.

    The rouge values are strings and the lengths plain integers, as the submission checker's
    pattern wants them.
    """
    printed: dict[str, Any] = {name: f"{getattr(score, name)}" for name in METRICS}
    printed |= {"gen_len": score.gen_len, "gen_num": score.gen_num}
    return f"\nResults\n\n{printed}\n"
