"""What can be known to fail before an engine is loaded: tasks, data, and prompts that are too
long."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..contract.plan import RunPlan
from ..contract.result import ModelFacts
from ..contract.status import FailureCode
from ..failure import RunFailure
from .language_model import generation_of
from .prompts import PromptEncoder
from .tasks import LoadedTask, load_tasks

Tell = Callable[[int, int], None]


def check_evaluations(plan: RunPlan, model: ModelFacts, home: Path, tell: Tell) -> None:
    """Makes every prompt of the plan's evaluations once.

    ``tell`` gets how many tasks are looked at, of how many. Raises RunFailure as ``load_tasks``
    does, and prompt-too-long: nothing is ever truncated, as lm_eval would do.
    """
    loaded = load_tasks(plan.evaluations, home)
    encoder = PromptEncoder(Path(model.path))
    leaves = [(task, name) for task in loaded for name in task.tasks]
    for number, (task, name) in enumerate(leaves, start=1):
        instances = build_requests(task, name, encoder)
        require_fit(task, name, instances, encoder, plan.engine.max_model_len)
        tell(number, len(leaves))


def build_requests(task: LoadedTask, name: str, encoder: PromptEncoder) -> list[Any]:
    """lm_eval's requests of a leaf, as its ``evaluate`` makes them."""
    chat = task.plan.chat_template
    leaf = task.tasks[name]
    leaf.build_all_requests(
        samples=task.indices[name],
        apply_chat_template=chat,
        fewshot_as_multiturn=chat,
        chat_template=encoder.apply_chat_template if chat else None,
        tokenizer_name="",
    )
    return list(leaf.instances)


def require_fit(
    task: LoadedTask, name: str, instances: list[Any], encoder: PromptEncoder, room: int
) -> None:
    """Raises RunFailure: prompt-too-long, or bad-plan for an answer that is not greedy."""
    longest, index = 0, 0
    for at, length in _lengths(name, instances, encoder):
        if length > longest:
            longest, index = length, at
    if longest > room:
        shots = task.tasks[name].config.num_fewshot or 0
        question = task.indices[name][index]
        raise RunFailure(
            FailureCode.PROMPT_TOO_LONG,
            f"{name}: question {question} with {shots} shots and its answer needs {longest} "
            f"tokens, engine.max_model_len is {room}",
        )


def _lengths(name: str, instances: list[Any], encoder: PromptEncoder) -> Iterator[tuple[int, int]]:
    """Of each request the index of its question, and tokens of prompt and longest answer."""
    scored = [item for item in instances if item.request_type == "loglikelihood"]
    for item, pair in zip(
        scored, encoder.encode_pairs([item.args for item in scored]), strict=True
    ):
        # The engine generates one token at least.
        yield item.doc_id, len(pair.context) + len(pair.continuation) + 1
    generated = [item for item in instances if item.request_type == "generate_until"]
    prompts = encoder.encode([item.args[0] for item in generated])
    for item, prompt in zip(generated, prompts, strict=True):
        wanted = generation_of(item.args[1], encoder.end)
        if not wanted.greedy:
            raise RunFailure(
                FailureCode.BAD_PLAN,
                f"evaluations: {name} draws its answers at random, and this engine decodes "
                "greedily",
            )
        yield item.doc_id, len(prompt) + wanted.max_tokens
