"""Synthetic samples: repeatable, in MLPerf's template, of the wanted lengths."""

from __future__ import annotations

import statistics

import pytest
from loadfleet_agent.contract.benchmark import (
    LONGEST_INPUT_TOKENS,
    MEAN_INPUT_TOKENS,
    PROMPT_TEMPLATE,
)
from loadfleet_agent.contract.status import FailureCode
from loadfleet_agent.dataset.synthetic import SMALLEST_ROOM, make_samples
from loadfleet_agent.failure import RunFailure
from loadfleet_agent.model.tokenizer import ModelTokenizer

BEFORE, AFTER = PROMPT_TEMPLATE.split("{input}")


def test_the_same_seed_gives_the_same_samples(tokenizer: ModelTokenizer) -> None:
    assert make_samples(40, 7, 496, tokenizer) == make_samples(40, 7, 496, tokenizer)


def test_another_seed_gives_other_samples(tokenizer: ModelTokenizer) -> None:
    one, other = (make_samples(40, seed, 496, tokenizer) for seed in (7, 8))
    assert not set(map(tuple, one.prompts)) & set(map(tuple, other.prompts))
    assert one.references != other.references
    assert one.origin != other.origin


def test_the_samples_of_one_seed_differ_from_each_other(tokenizer: ModelTokenizer) -> None:
    prompts = make_samples(200, 0, 496, tokenizer).prompts
    assert len({tuple(prompt) for prompt in prompts}) == 200


@pytest.mark.parametrize("room", [SMALLEST_ROOM, 200, 496, 2560])
def test_every_prompt_fits_the_room(tokenizer: ModelTokenizer, room: int) -> None:
    samples = make_samples(300, 3, room, tokenizer)
    assert len(samples.prompts) == len(samples.references) == 300
    assert max(map(len, samples.prompts)) <= room


def test_a_prompt_is_mlperfs_template_around_an_article(tokenizer: ModelTokenizer) -> None:
    samples = make_samples(20, 0, 496, tokenizer)
    assert len({prompt[0] for prompt in samples.prompts}) == 1  # BOS, which decoding leaves out
    texts = tokenizer.decode(samples.prompts)
    for text, reference in zip(texts, samples.references, strict=True):
        assert text.startswith(BEFORE)
        assert text.endswith(AFTER)
        article = text.removeprefix(BEFORE).removesuffix(AFTER)
        assert reference.splitlines()[0] == article[: len(reference.splitlines()[0])]
        assert article.endswith((".", '"'))


@pytest.mark.parametrize(("room", "scale"), [(LONGEST_INPUT_TOKENS, 1.0), (1270, 0.5)])
def test_lengths_have_the_scaled_mean_and_spread(
    tokenizer: ModelTokenizer, room: int, scale: float
) -> None:
    samples = make_samples(1500, 0, room, tokenizer)
    lengths = [len(prompt) for prompt in samples.prompts]
    assert statistics.mean(lengths) == pytest.approx(scale * MEAN_INPUT_TOKENS, rel=0.06)
    assert statistics.median(lengths) < statistics.mean(lengths)
    assert max(lengths) > 0.9 * room
    assert f"length scale {scale:.3f}" in samples.origin


def test_a_room_without_space_for_an_article_is_refused(tokenizer: ModelTokenizer) -> None:
    with pytest.raises(RunFailure, match=str(SMALLEST_ROOM)) as caught:
        make_samples(1, 0, SMALLEST_ROOM - 1, tokenizer)
    assert caught.value.code is FailureCode.PROMPT_TOO_LONG
