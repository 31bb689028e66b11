"""An answer's text: cut at stop strings, special tokens kept, whole characters only."""

from __future__ import annotations

import pytest
from loadfleet_agent.evaluation.decoding import DecodedText
from loadfleet_agent.evaluation.language_model import generation_of
from loadfleet_agent.model.tokenizer import ModelTokenizer


def decoded(tokenizer: ModelTokenizer, text: str, stops: list[str]) -> DecodedText:
    (ids,) = tokenizer.encode([text], special_tokens=False)
    found = DecodedText(tokenizer._tokenizer, [1], stops)
    for token in ids:
        found.add(token)
    return found


@pytest.mark.parametrize(
    ("text", "stops", "kept"),
    [
        ("The answer is B. And so on", ["."], "The answer is B"),
        ("first\nsecond", ["</s>", "\n"], "first"),
        ("one two three", ["three", "two"], "one "),
        ("nothing stops here", ["@"], "nothing stops here"),
        ("naïve café ☕ and more", [" and"], "naïve café ☕"),
        ("no stops", [""], "no stops"),
    ],
)
def test_the_text_ends_before_the_first_stop_string(
    tokenizer: ModelTokenizer, text: str, stops: list[str], kept: str
) -> None:
    found = decoded(tokenizer, text, stops)
    assert found.text == kept
    assert found.stopped is (kept != text)


def test_half_a_character_is_held_back(tokenizer: ModelTokenizer) -> None:
    (ids,) = tokenizer.encode(["☕"], special_tokens=False)
    assert len(ids) > 1
    found = DecodedText(tokenizer._tokenizer, [1], [])
    for token in ids[:-1]:
        found.add(token)
        assert found.text == ""
    found.add(ids[-1])
    assert found.text == "☕"


def test_a_task_s_limits_are_read_as_lm_eval_reads_them() -> None:
    one = generation_of({"until": ["."], "max_gen_toks": 10, "do_sample": False}, "<end>")
    assert (one.stops, one.max_tokens, one.greedy) == ((".", "<end>"), 10, True)
    usual = generation_of({}, "<end>")
    assert (usual.stops, usual.max_tokens, usual.greedy) == (("<end>",), 256, True)
    assert not generation_of({"do_sample": True, "temperature": 0.7}, "<end>").greedy
