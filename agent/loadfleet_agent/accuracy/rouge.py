"""ROUGE exactly as MLPerf's ``language/llama3.1-8b/evaluation.py`` computes it.

Steps of that script (mlcommons/inference at b66003e1): keep the first entry of each sample in
the accuracy log; decode without special tokens; strip; one sentence a line
(nltk.sent_tokenize) in prediction and reference; rouge-score with Porter stemmer; the plain
mean of F1 times 100, rounded to 4 places; gen_len is the number of characters of the
processed predictions, not of tokens.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import nltk
import numpy as np
from rouge_score import rouge_scorer

from ..contract.result import RougeScore
from ..model.tokenizer import ModelTokenizer
from .accuracy_log import LoggedAnswer

METRICS = ("rouge1", "rouge2", "rougeL", "rougeLsum")
CHUNK = 64
CHECKED = 16
"""Pairs of each process that both scorers score, before the fast one is trusted."""
PARENT_POLL_S = 1.0


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
    predictions = tokenizer.decode(list(first.values()))
    pairs = [(text, references[index]) for index, text in zip(indices, predictions, strict=True)]
    chunks = [pairs[start : start + CHUNK] for start in range(0, len(pairs), CHUNK)]
    sums = np.zeros(len(METRICS))
    characters = done = 0
    workers = min(len(os.sched_getaffinity(0)), len(chunks))
    with ProcessPoolExecutor(
        workers,
        mp_context=get_context("spawn"),
        initializer=_start_scorer,
        initargs=(str(nltk_data), os.getpid()),
    ) as pool:
        # Summed in the order of the log, so that the same answers give the same digits.
        for scores, length, count in pool.map(_score_chunk, chunks):
            sums += np.sum(np.array(scores), axis=0)
            characters += length
            done += count
            progress(done, len(pairs))
    means = {
        name: round(float(total) / len(pairs) * 100, 4)
        for name, total in zip(METRICS, sums, strict=True)
    }
    return RougeScore(**means, gen_len=characters, gen_num=len(pairs))


def accuracy_text(score: RougeScore) -> str:
    """What MLPerf's evaluation prints and a submission keeps as accuracy.txt.

    The rouge values are strings and the lengths plain integers, as the submission checker's
    pattern wants them.
    """
    printed: dict[str, Any] = {name: f"{getattr(score, name)}" for name in METRICS}
    printed |= {"gen_len": score.gen_len, "gen_num": score.gen_num}
    return f"\nResults\n\n{printed}\n"


def split_sentences(text: str) -> str:
    """Stripped, one sentence a line."""
    return "\n".join(nltk.sent_tokenize(text.strip()))


def _start_scorer(folder: str, parent: int) -> None:
    nltk.data.path.insert(0, folder)
    # Killed with SIGKILL, the run cannot end its scorers: they must see it themselves.
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_POLL_S)
    os._exit(1)


_chosen: Any = None
"""The scorer of this process."""


@cache
def _scorer() -> Any:
    """The scorer that MLPerf's evaluation uses."""
    return rouge_scorer.RougeScorer(list(METRICS), use_stemmer=True)


def _fast_scorer() -> Any | None:
    """The same in Rust, a hundred times as fast, where it is installed.

    It gives the same bits (see the tests), but is young and of one author: so it is optional, and
    held against the other one before it is used.
    """
    try:
        from rouge_score_rs import RougeScorer
    except ImportError:
        return None
    return RougeScorer(list(METRICS), use_stemmer=True)


def _score_chunk(pairs: list[tuple[str, str]]) -> tuple[list[list[float]], int, int]:
    """F1 of each pair, characters of the processed predictions, number of pairs."""
    split = [(split_sentences(reference), split_sentences(text)) for text, reference in pairs]
    global _chosen
    if _chosen is None:
        fast = _fast_scorer()
        agree = fast is not None and all(
            _f1(fast, *pair) == _f1(_scorer(), *pair) for pair in split[:CHECKED]
        )
        _chosen = fast if agree else _scorer()
    scorer = _chosen
    scores = [_f1(scorer, reference, prediction) for reference, prediction in split]
    return scores, sum(len(prediction) for _, prediction in split), len(pairs)


def _f1(scorer: Any, reference: str, prediction: str) -> list[float]:
    found = scorer.score(reference, prediction)
    return [found[name].fmeasure for name in METRICS]
