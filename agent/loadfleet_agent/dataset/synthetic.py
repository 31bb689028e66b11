"""Synthetic samples: MLPerf's template and CNN/DailyMail's length profile, from a seed."""

from __future__ import annotations

import math

import numpy as np

from ..contract.benchmark import LONGEST_INPUT_TOKENS, MEAN_INPUT_TOKENS, PROMPT_TEMPLATE
from ..contract.dataset import SyntheticDataset
from ..contract.status import FailureCode
from ..failure import RunFailure
from ..model.tokenizer import ModelTokenizer
from .articles import Article, write_articles
from .source import Found, Samples, Wanted

LOG_SIGMA = 0.5
"""Spread of the log-normal length profile."""
SMALLEST_ROOM = 128
"""Template and two sentences need so many tokens."""
GENERATOR = "generator-1"
"""Counted on when a seed would give other samples."""


def find_synthetic(source: SyntheticDataset, wanted: Wanted, room: int) -> Found:
    """It is always there. ``room``: most tokens of a prompt."""
    return Found(
        source,
        GENERATOR,
        lambda tokenizer: make_samples(wanted.samples, source.seed, room, tokenizer),
    )


def make_samples(count: int, seed: int, room: int, tokenizer: ModelTokenizer) -> Samples:
    """Prompts of at most ``room`` tokens and their references.

    Lengths are log-normal with MLPerf's mean and longest input, scaled down together where the
    room is smaller than the longest. Raises RunFailure if the room is too small for any article.
    """
    if room < SMALLEST_ROOM:
        raise RunFailure(
            FailureCode.PROMPT_TOO_LONG,
            f"only {room} tokens are left for a prompt, synthetic ones need {SMALLEST_ROOM}",
        )
    scale = min(1.0, room / LONGEST_INPUT_TOKENS)
    targets = _target_tokens(count, seed, scale, room)
    tokens_per_word, template_tokens = _measure(tokenizer)
    words = [max(1, round((target - template_tokens) / tokens_per_word)) for target in targets]
    articles = write_articles(words, seed)
    prompts = tokenizer.encode([_prompt(article) for article in articles])
    for index, prompt in enumerate(prompts):
        if len(prompt) > room:
            articles[index], prompts[index] = _shorten(articles[index], room, tokenizer)
    references = [article.highlights for article in articles]
    origin = f"synthetic articles, seed {seed}, length scale {scale:.3f}"
    return Samples(prompts, references, origin)


def _prompt(article: Article) -> str:
    return PROMPT_TEMPLATE.format(input=article.text)


def _target_tokens(count: int, seed: int, scale: float, room: int) -> np.ndarray:
    generator = np.random.Generator(np.random.PCG64(seed))
    mean = MEAN_INPUT_TOKENS * scale
    lengths = generator.lognormal(math.log(mean) - LOG_SIGMA**2 / 2, LOG_SIGMA, count)
    return np.clip(lengths, SMALLEST_ROOM, room)


def _measure(tokenizer: ModelTokenizer) -> tuple[float, int]:
    """Tokens a word of our articles takes, and tokens of the bare template."""
    sample = write_articles([500], seed=0)[0].text
    plain, template = tokenizer.encode([sample, PROMPT_TEMPLATE.format(input="")])
    return len(plain) / (sample.count(" ") + 1), len(template)


def _shorten(article: Article, room: int, tokenizer: ModelTokenizer) -> tuple[Article, list[int]]:
    """The article written with fewer sentences, so that its prompt fits."""
    sentences = article.sentences
    while len(sentences) > 1:
        sentences = sentences[:-1]
        kept = Article(sentences, article.highlights)
        (prompt,) = tokenizer.encode([_prompt(kept)])
        if len(prompt) <= room:
            return kept, prompt
    raise RunFailure(FailureCode.PROMPT_TOO_LONG, f"one sentence takes more than {room} tokens")
