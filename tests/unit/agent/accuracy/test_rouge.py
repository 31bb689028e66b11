"""ROUGE as MLPerf's evaluation computes and prints it."""

from __future__ import annotations

import ast
import random
import re
from pathlib import Path

import nltk
import numpy as np
import pytest
from loadfleet_agent.accuracy import pair_scores
from loadfleet_agent.accuracy.accuracy_log import LoggedAnswer
from loadfleet_agent.accuracy.pair_scores import METRICS
from loadfleet_agent.accuracy.punkt import install_punkt
from loadfleet_agent.accuracy.rouge import accuracy_text, score_answers
from loadfleet_agent.contract.result import RougeScore
from loadfleet_agent.dataset.articles import write_articles
from loadfleet_agent.model.tiny_llama import END_OF_TURN
from loadfleet_agent.model.tokenizer import ModelTokenizer
from rouge_score import rouge_scorer, scoring
from rouge_score_rs import RougeScorer
from tokenizers import Tokenizer

PAIRS = 150
OFFICIAL = RougeScore(
    rouge1=52.5492,
    rouge2=43.0366,
    rougeL=41.3155,
    rougeLsum=52.0964,
    gen_len=63_789,
    gen_num=PAIRS,
)
"""What ``language/llama3.1-8b/evaluation.py`` of mlcommons/inference at b66003e1 prints (evaluate
0.4.6, int32) of the pairs of ``texts``: an accuracy log of the tiny model's token ids."""


@pytest.fixture(scope="module")
def nltk_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install_punkt(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def texts() -> list[tuple[str, str]]:
    """Prediction and reference: some alike, some not, with abbreviations and spare spaces."""
    generator = random.Random(0)
    articles = write_articles([120] * PAIRS, seed=9)
    others = write_articles([60] * PAIRS, seed=10)
    pairs = []
    for index, article in enumerate(articles):
        kept = generator.sample(article.sentences, min(3, len(article.sentences)))
        mixed = [*kept, *others[index].sentences[: index % 3]]
        lead = "Mr. Smith of the U.S. arrived at 3.15 p.m. on Friday. " if index % 5 == 0 else ""
        pairs.append((f"  {lead}{' '.join(mixed)}\n\n", article.highlights))
    return pairs


def _stop_token(folder: Path) -> int:
    return int(Tokenizer.from_file(str(folder / "tokenizer.json")).token_to_id(END_OF_TURN))


def _directly(texts: list[tuple[str, str]], nltk_data: Path) -> RougeScore:
    """The steps of MLPerf's evaluation.py, written down once more."""
    nltk.data.path.insert(0, str(nltk_data))
    scorer = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"], use_stemmer=True)
    found: dict[str, list[float]] = {name: [] for name in METRICS}
    length = 0
    for prediction, reference in texts:
        processed = "\n".join(nltk.sent_tokenize(prediction.strip()))
        wanted = "\n".join(nltk.sent_tokenize(reference.strip()))
        for name, score in scorer.score(wanted, processed).items():
            found[name].append(score.fmeasure)
        length += len(processed)
    means = {name: round(float(np.mean(values)) * 100, 4) for name, values in found.items()}
    return RougeScore(**means, gen_len=length, gen_num=len(texts))


def test_equals_mlperfs_evaluation_and_its_libraries_used_directly(
    texts: list[tuple[str, str]], tokenizer: ModelTokenizer, tiny_folder: Path, nltk_data: Path
) -> None:
    stop = _stop_token(tiny_folder)
    answers = [
        _answer(index, [*ids[1:], stop])
        for index, ids in enumerate(tokenizer.encode([text for text, _ in texts]))
    ]
    assert tokenizer.decode([answer.tokens for answer in answers]) == [text for text, _ in texts]
    told: list[tuple[int, int]] = []
    score = score_answers(
        answers,
        [reference for _, reference in texts],
        tokenizer,
        nltk_data,
        lambda done, total: told.append((done, total)),
    )
    assert score == _directly(texts, nltk_data) == OFFICIAL
    assert told[-1] == (PAIRS, PAIRS)
    assert told == sorted(told)


def test_each_answer_is_held_against_the_reference_of_its_own_index(
    texts: list[tuple[str, str]], tokenizer: ModelTokenizer, nltk_data: Path
) -> None:
    """Answers come in the order of completion, not of the samples."""
    ids = tokenizer.encode([text for text, _ in texts])
    order = random.Random(1).sample(range(PAIRS), PAIRS)
    references = [reference for _, reference in texts]
    answers = [_answer(index, ids[index]) for index in order]
    score = score_answers(answers, references, tokenizer, nltk_data, lambda *_: None)
    assert score == _directly(texts, nltk_data)


def test_the_first_answer_of_a_sample_counts(
    texts: list[tuple[str, str]], tokenizer: ModelTokenizer, nltk_data: Path
) -> None:
    ids = tokenizer.encode([text for text, _ in texts])
    answers = [_answer(index, tokens) for index, tokens in enumerate(ids)]
    again = [_answer(0, ids[1]), _answer(7, ids[3])]
    references = [reference for _, reference in texts]
    score = score_answers([*answers, *again], references, tokenizer, nltk_data, lambda *_: None)
    assert score == _directly(texts, nltk_data)


def _answer(index: int, tokens: list[int]) -> LoggedAnswer:
    return LoggedAnswer(index, tokens, [], len(tokens))


# accuracy.txt.

CHECKER_PATTERNS = {
    "rouge1": r"'rouge1': '([0-9.]+)'",
    "rouge2": r"'rouge2': '([0-9.]+)'",
    "rougeL": r"'rougeL': '([0-9.]+)'",
    "rougeLsum": r"'rougeLsum': '([0-9.]+)'",
    "gen_len": r"'gen_len': ([0-9]+)",
    "gen_num": r"'gen_num': ([0-9]+)",
}


def _real_texts() -> list[Path]:
    root = Path(__file__).parents[3] / "data" / "mlperf-v5.1-logs"
    return sorted(root.rglob("accuracy.txt"))


def test_there_are_real_accuracy_texts() -> None:
    assert len(_real_texts()) == 6


@pytest.mark.parametrize("path", _real_texts(), ids=lambda path: "-".join(path.parts[-3:-1]))
def test_prints_a_real_score_as_its_submitter_did(path: Path) -> None:
    text = path.read_text()
    (line,) = re.findall(r"^\{.*\}$", text, re.M)
    printed = {
        key: float(value) if isinstance(value, str) else value
        for key, value in ast.literal_eval(line).items()
    }
    ours = accuracy_text(RougeScore(**printed))
    assert f"\nResults\n\n{line}\n" in f"\n{text}"
    assert ours == f"\nResults\n\n{line}\n"


def test_every_value_is_found_by_the_checkers_patterns() -> None:
    score = RougeScore(
        rouge1=38.0, rouge2=0.0, rougeL=24.4957, rougeLsum=100.0, gen_len=8167644, gen_num=13368
    )
    text = accuracy_text(score)
    for name, pattern in CHECKER_PATTERNS.items():
        (value,) = re.findall(pattern, text)
        assert float(value) == getattr(score, name)


class TestFastScorer:
    """rouge-score-rs, where a host has it, must not change a bit of any score."""

    EDGES = (
        ("", ""), ("word", ""), ("", "word"), ("...", "!?"), ("a\nb", "b\na"), ("a\n\nb", "a b"),
        ("naïve café", "naive cafe"), ("Привет мир", "Привет"), ("don't stop", "dont stop"),
        ("running runs ran", "run runner"), ("1,000 3.15", "1000 315"), ("x" * 5000, "x" * 4999),
    )  # fmt: skip

    def test_equals_rouge_score_bit_for_bit(self, texts: list[tuple[str, str]]) -> None:
        fast = RougeScorer(list(METRICS), use_stemmer=True)
        slow = rouge_scorer.RougeScorer(list(METRICS), use_stemmer=True)
        generator = random.Random(1)
        words = [word for pair in texts for text in pair for word in text.split()]
        made_up = [
            ("\n".join(generator.choices(words, k=generator.randrange(90))),
             " ".join(generator.choices(words, k=generator.randrange(90))))
            for _ in range(400)
        ]  # fmt: skip
        for reference, prediction in [*texts, *made_up, *self.EDGES]:
            one, other = fast.score(reference, prediction), slow.score(reference, prediction)
            for metric in METRICS:
                assert tuple(one[metric]) == tuple(other[metric]), (metric, reference, prediction)

    def test_one_that_differs_is_not_used(
        self, monkeypatch: pytest.MonkeyPatch, nltk_data: Path
    ) -> None:
        class Wrong:
            def score(self, reference: str, prediction: str) -> dict[str, scoring.Score]:
                return dict.fromkeys(METRICS, scoring.Score(0.5, 0.5, 0.5))

        pairs = [("A cat sat. It slept.", "A cat slept."), ("No word", "in common")]
        nltk.data.path.insert(0, str(nltk_data))
        monkeypatch.setattr(pair_scores, "_chosen", None)
        right = pair_scores.score_chunk(pairs)
        monkeypatch.setattr(pair_scores, "_chosen", None)
        monkeypatch.setattr(pair_scores, "_fast_scorer", Wrong)
        assert pair_scores.score_chunk(pairs) == right
