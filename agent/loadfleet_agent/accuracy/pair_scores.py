"""What a scoring process does: the F1 of pairs of texts.

Every process that scores imports this first, on all cores at once: so it imports nothing beyond
NLTK and the scorers.
"""

from __future__ import annotations

import os
import threading
import time
from functools import cache
from typing import Any

import nltk

METRICS = ("rouge1", "rouge2", "rougeL", "rougeLsum")
CHECKED = 16
"""Pairs of each process that both scorers score, before the fast one is trusted."""
PARENT_POLL_S = 1.0


def split_sentences(text: str) -> str:
    """Stripped, one sentence a line."""
    return "\n".join(nltk.sent_tokenize(text.strip()))


def start_scorer(folder: str, parent: int) -> None:
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
    from rouge_score import rouge_scorer

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


def score_chunk(pairs: list[tuple[str, str]]) -> tuple[list[list[float]], int, int]:
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
