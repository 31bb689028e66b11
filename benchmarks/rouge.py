"""How long the ROUGE of a whole datacenter accuracy run takes, and whether its digits are right.

13,368 pairs of made-up summaries go through the scorer of the agent as a run's answers do; a part
of them through rouge-score by itself too, one after the other, which must give the same digits.

usage: python benchmarks/rouge.py [--pairs 13368] [--slow] [--repeats 3] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

COMPARED = 500
"""Pairs that rouge-score scores by itself as well: some seconds."""
WORDS = (
    "police", "said", "the", "of", "and", "in", "to", "a", "was", "has", "people", "year", "after",
    "city", "government", "running", "children", "reported", "president", "hospital", "officials",
    "found", "killed", "family", "world", "football", "minister", "morning", "company", "told",
)  # fmt: skip


def made_up_text(generator: random.Random, words: tuple[str, ...]) -> str:
    """A summary of 40 to 75 words in 2 to 5 sentences, the size of CNN/DailyMail's highlights."""
    sentences = generator.randint(2, 5)
    each = generator.randint(40, 75) // sentences
    parts = [" ".join(generator.choices(words, k=each)).capitalize() for _ in range(sentences)]
    return ". ".join(parts) + "."


def main() -> None:
    # Not above: each process that scores imports this file, as it does the command of a run.
    import nltk
    from loadfleet_agent.accuracy.accuracy_log import LoggedAnswer
    from loadfleet_agent.accuracy.pair_scores import METRICS, split_sentences
    from loadfleet_agent.accuracy.punkt import install_punkt
    from loadfleet_agent.accuracy.rouge import score_answers
    from loadfleet_agent.model.tiny_llama import make_tiny_llama
    from loadfleet_agent.model.tokenizer import ModelTokenizer
    from rouge_score import rouge_scorer

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=13_368, help="MLPerf's datacenter: 13368")
    parser.add_argument("--slow", action="store_true", help="as where rouge-score-rs is missing")
    parser.add_argument("--repeats", type=int, default=3, help="measurements (3)")
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    options = parser.parse_args()
    generator = random.Random(0)
    predictions = [made_up_text(generator, WORDS) for _ in range(options.pairs)]
    references = [made_up_text(generator, WORDS) for _ in range(options.pairs)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.slow:
            # The scorer's processes are started anew and look for modules here first.
            (folder / "rouge_score_rs.py").write_text("raise ImportError\n", encoding="utf-8")
            sys.path.insert(0, name)
        make_tiny_llama(folder / "tiny", seed=0)
        tokenizer = ModelTokenizer(folder / "tiny")
        nltk_data = install_punkt(folder)
        nltk.data.path.insert(0, str(nltk_data))
        answers = [
            LoggedAnswer(index, tokens, first_token=[], token_count=None)
            for index, tokens in enumerate(tokenizer.encode(predictions))
        ]
        seconds = []
        for _ in range(options.repeats):
            began = time.monotonic()
            score_answers(answers, references, tokenizer, nltk_data, lambda *_: None)
            seconds.append(time.monotonic() - began)
        part = answers[:COMPARED]
        found = score_answers(part, references, tokenizer, nltk_data, lambda *_: None)
        decoded = tokenizer.decode([answer.tokens for answer in part])
        scorer = rouge_scorer.RougeScorer(list(METRICS), use_stemmer=True)
        by_itself = [
            scorer.score(split_sentences(reference), split_sentences(prediction))
            for reference, prediction in zip(references, decoded, strict=False)
        ]
    expected = {
        metric: round(sum(s[metric].fmeasure for s in by_itself) / len(by_itself) * 100, 4)
        for metric in METRICS
    }
    same = all(getattr(found, metric) == value for metric, value in expected.items())
    cores = len(os.sched_getaffinity(0))
    if options.json:
        print(json.dumps({"pairs": options.pairs, "seconds": seconds, "identical": same,
                          "processors": cores}))  # fmt: skip
    else:
        print(
            f"{options.pairs:,} pairs in {statistics.median(seconds):.1f} s ({min(seconds):.1f} to "
            f"{max(seconds):.1f}, {len(seconds)} measurements) on {cores} processors; "
            f"the digits of {len(part)} equal rouge-score's own: {'yes' if same else 'NO'}"
        )
    if not same:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
