"""Prompts as token ids: BOS once in every form, and as lm_eval's own code makes them."""

from __future__ import annotations

from pathlib import Path

import pytest
from lm_eval.api.model import TemplateLM
from loadfleet_agent.contract.evaluation import EvaluationPlan, MmluTask, SyntheticMmlu
from loadfleet_agent.contract.status import FailureCode
from loadfleet_agent.evaluation.check import build_requests, require_fit
from loadfleet_agent.evaluation.prompts import PromptEncoder, prompt_sha256
from loadfleet_agent.evaluation.tasks import LoadedTask, load_tasks
from loadfleet_agent.failure import RunFailure


def plan(task: MmluTask, **changes: object) -> EvaluationPlan:
    given = {
        "task": task,
        "shots": task.shots,
        "split": "test",
        "samples": 1,
        "data": SyntheticMmlu(),
        "chat_template": task.chat,
    }
    return EvaluationPlan.model_validate(given | changes)


@pytest.fixture(scope="module")
def encoder(tiny_folder: Path) -> PromptEncoder:
    return PromptEncoder(tiny_folder)


@pytest.fixture(scope="module")
def loaded(evaluation_home: Path) -> dict[str, LoadedTask]:
    return {
        task.plan.task: task for task in load_tasks([plan(t) for t in MmluTask], evaluation_home)
    }


@pytest.mark.parametrize("task", MmluTask)
def test_every_form_has_bos_once_and_first(
    task: MmluTask, loaded: dict[str, LoadedTask], encoder: PromptEncoder
) -> None:
    """Twice costs two points: 67.6 for 69.4."""
    leaf = next(iter(loaded[task].tasks))
    for item in build_requests(loaded[task], leaf, encoder):
        (prompt,) = encoder.encode([item.args[0]])
        assert prompt[0] == encoder.prefix_id
        assert prompt.count(encoder.prefix_id) == 1


def test_a_chat_template_s_own_bos_is_not_put_before_again(encoder: PromptEncoder) -> None:
    text = encoder.apply_chat_template([{"role": "user", "content": "x"}], True)
    assert text.startswith("<|begin_of_text|>")
    twice = encoder.tokenizer([text])["input_ids"][0]
    (once,) = encoder.encode([text])
    assert twice.count(encoder.prefix_id) == 2
    assert once == twice[1:]


def test_five_shots_are_turns_that_end_in_the_letter(
    loaded: dict[str, LoadedTask], encoder: PromptEncoder
) -> None:
    leaf = next(iter(loaded[MmluTask.LLAMA].tasks))
    (item,) = build_requests(loaded[MmluTask.LLAMA], leaf, encoder)
    text = item.args[0]
    assert text.count("<|user|>") == 6
    assert text.count("The best answer is") == 6 + 6  # and in each instruction none but the last
    assert text.endswith("The best answer is")


class Reference(TemplateLM):
    """lm_eval's own encoding of pairs, over the same tokenizer."""

    def __init__(self, encoder: PromptEncoder) -> None:
        super().__init__()
        self.encoder, self.pairs = encoder, []

    eot_token_id = property(lambda self: self.encoder.end_id)
    prefix_token_id = property(lambda self: self.encoder.prefix_id)

    def tok_encode(self, string, add_special_tokens=None, **_):
        return self.encoder.encode([string], special_tokens=add_special_tokens is not False)[0]

    def _loglikelihood_tokens(self, requests, **_):
        self.pairs = [(tuple(context), tuple(after)) for _, context, after in requests]
        return [(0.0, False)] * len(requests)

    def loglikelihood_rolling(self, requests, disable_tqdm=False):
        raise NotImplementedError

    def generate_until(self, requests, disable_tqdm=False):
        raise NotImplementedError


class Request:
    def __init__(self, *args: str) -> None:
        self.args = args


def test_pairs_are_encoded_as_lm_eval_does_it_one_by_one(
    loaded: dict[str, LoadedTask], encoder: PromptEncoder
) -> None:
    leaf = next(iter(loaded[MmluTask.MMLU].tasks))
    texts = [item.args for item in build_requests(loaded[MmluTask.MMLU], leaf, encoder)]
    texts += [("Once upon a time ", "there was"), ("", "a word"), ("one", " two three four")]
    reference = Reference(encoder)
    reference.loglikelihood([Request(*pair) for pair in texts], disable_tqdm=True)
    pairs = encoder.encode_pairs(texts)
    assert [(pair.context, pair.continuation) for pair in pairs] == reference.pairs


def test_the_four_letters_share_a_context_and_are_a_token_each(
    loaded: dict[str, LoadedTask], encoder: PromptEncoder
) -> None:
    leaf = next(iter(loaded[MmluTask.MMLU].tasks))
    texts = [item.args for item in build_requests(loaded[MmluTask.MMLU], leaf, encoder)]
    pairs = encoder.encode_pairs(texts)
    assert len(pairs) == 4
    assert len({pair.context for pair in pairs}) == 1


def test_a_model_without_a_chat_template_is_refused(tiny_folder: Path, tmp_path: Path) -> None:
    for name in ("tokenizer.json", "config.json"):
        (tmp_path / name).write_bytes((tiny_folder / name).read_bytes())
    (tmp_path / "tokenizer_config.json").write_text(
        '{"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|begin_of_text|>", '
        '"eos_token": "<|eot_id|>"}'
    )
    with pytest.raises(RunFailure, match="no chat template") as raised:
        PromptEncoder(tmp_path).apply_chat_template([{"role": "user", "content": "x"}], True)
    assert raised.value.code is FailureCode.BAD_PLAN


def test_a_prompt_that_does_not_fit_is_told_and_never_cut(
    loaded: dict[str, LoadedTask], encoder: PromptEncoder
) -> None:
    task = loaded[MmluTask.LLAMA]
    leaf = next(iter(task.tasks))
    instances = build_requests(task, leaf, encoder)
    (prompt,) = encoder.encode([instances[0].args[0]])
    needed = len(prompt) + 10
    require_fit(task, leaf, instances, encoder, needed)
    with pytest.raises(RunFailure, match=f"5 shots .* {needed} .* {needed - 1}$") as raised:
        require_fit(task, leaf, instances, encoder, needed - 1)
    assert raised.value.code is FailureCode.PROMPT_TOO_LONG


def test_the_hash_of_a_prompt_is_of_its_tokens() -> None:
    assert prompt_sha256([1, 2]) != prompt_sha256([2, 1])
    assert len(prompt_sha256([])) == 32
