"""Made-up news articles, from a seed: English enough for tokenizers and sentence splitters."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

_PLACES = (
    "Bristol", "Lagos", "Osaka", "Porto", "Quito", "Tampere", "Leeds", "Cardiff", "Denver",
    "Perth", "Lima", "Gdansk", "Nairobi", "Oslo", "Tunis", "Halifax", "Cork", "Pune", "Mexico City",
)  # fmt: skip
_PEOPLE = (
    "Maria Keller", "John Abara", "Dr. Susan Pike", "Tomas Lind", "Ana Ruiz", "Peter O'Hara",
    "Li Wen", "Grace Mbeki", "Sir Alan Dove", "Nina Petrov", "Omar Haddad", "Ruth Calder",
)  # fmt: skip
_GROUPS = (
    "the city council", "the harbour authority", "a team of engineers", "local residents",
    "the transport ministry", "a group of students", "the regional hospital", "police officers",
    "the football club", "the national museum", "farmers in the valley", "the energy company",
)  # fmt: skip
_ACTIONS = (
    "announced plans to rebuild", "voted against closing", "opened an inquiry into",
    "promised to pay for", "delayed the sale of", "found serious faults in", "won an award for",
    "raised doubts about", "agreed to share", "published a report on", "took control of",
)  # fmt: skip
_THINGS = (
    "the old railway bridge", "a new water system", "three public libraries", "the coastal road",
    "a solar power station", "the winter festival", "two empty factories", "the school bus service",
    "a flood warning network", "the river ferry", "an archive of photographs", "the central market",
)  # fmt: skip
_REASONS = (
    "after months of argument", "despite rising costs", "because repairs could not wait",
    "as part of a wider review", "following complaints from neighbours", "before the summer season",
    "although few people had asked for it", "while talks with unions went on",
)  # fmt: skip
_COMMENTS = (
    "We did not expect this to move so quickly",
    "Nobody should have to wait another year",
    "The numbers simply do not add up",
    "It is a good day for the whole region",
    "People will judge us by what happens next",
    "There is still a great deal of work to do",
)  # fmt: skip
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True)
class Article:
    """An article as its sentences, and the highlights that a summary should give."""

    sentences: tuple[str, ...]
    highlights: str

    @property
    def text(self) -> str:
        return " ".join(self.sentences)


def write_articles(words: Sequence[int], seed: int) -> list[Article]:
    """One article for each wanted length in words (reached or just passed)."""
    generator = random.Random(seed)
    return [_article(generator, wanted) for wanted in words]


def _article(generator: random.Random, words: int) -> Article:
    sentences: list[str] = []
    written = 0
    while written < words or len(sentences) < 2:
        sentence = _sentence(generator)
        sentences.append(sentence)
        written += sentence.count(" ") + 1
    # As in CNN/DailyMail: highlights are a few statements, the first of them from the opening.
    chosen = sorted({0, *generator.sample(range(len(sentences)), min(3, len(sentences)))})[:3]
    return Article(tuple(sentences), "\n".join(sentences[index] for index in chosen))


def _sentence(generator: random.Random) -> str:
    pick = generator.choice
    match generator.randrange(5):
        case 0:
            text = f"{pick(_GROUPS)} in {pick(_PLACES)} {pick(_ACTIONS)} {pick(_THINGS)}"
            text += f" on {pick(_DAYS)}, {pick(_REASONS)}."
        case 1:
            text = f'"{pick(_COMMENTS)}," said {pick(_PEOPLE)}, speaking for {pick(_GROUPS)}.'
        case 2:
            text = f"about {generator.randrange(2, 980)} people in {pick(_PLACES)} had asked for "
            text += f"{pick(_THINGS)} {pick(_REASONS)}."
        case 3:
            text = f"{pick(_PEOPLE)} told reporters that {pick(_GROUPS)} {pick(_ACTIONS)} "
            cost = f"{generator.randrange(1, 90)}.{generator.randrange(10)}"
            text += f"{pick(_THINGS)} at a cost of ${cost} million."
        case _:
            text = f"in {generator.randrange(1988, 2025)}, {pick(_GROUPS)} {pick(_ACTIONS)} "
            text += f"{pick(_THINGS)}, {pick(_REASONS)}."
    return text[0].upper() + text[1:]
