"""What the terms of a report mean."""

from __future__ import annotations

DEFINITIONS = {
    "tokens/s": "output tokens per second as LoadGen logged it: result_tokens_per_second "
    "(Offline), result_completed_tokens_per_second (Server)",
    "TTFT": "time to first token, from the moment at which LoadGen scheduled the query",
    "TPOT": "time per output token after the first: (end - first token) / (tokens - 1)",
    "aggregate capacity": "sum of the tokens/s of independent hosts, each under its own LoadGen; "
    "never an MLPerf result, which needs one LoadGen in front of all hosts",
    "joint throughput": "what the hosts did at one time: output tokens of all samples whose last "
    "token came within the common window, over its length. The window begins as the last host "
    "began and ends as the first one ended, by the controller's clock",
    "synchronised": "all hosts were ready, and were told one moment at which to start",
    "makespan": "from the first host's start to the last one's end; all samples over it are what "
    "the fleet did as a whole",
    "imbalance": "longest run over the mean run, less 1: what the fleet waits for its slowest host",
    "of best": "tokens/s as a share of the fastest valid host with the same plan",
    "ROUGE": "F1 times 100 by rouge-score with Porter stemmer, one sentence a line, mean over "
    "all samples, as MLPerf's evaluation script",
    "gen_len": "characters of all answers; MLPerf's script counts characters, not tokens",
    "straggler": "from five hosts with one plan on: slower than their median by more than 3 % and "
    "by more than 3.5 robust standard deviations (1.4826 times the median absolute deviation), "
    "more where a fleet of 200 hosts or more scatters wider than normal; under five hosts more "
    "than 3 % slower than the fastest",
    "fault, odd one out": "a fact that is wrong by itself, or that differs from nearly all other "
    "hosts, whatever the host's speed is",
    "ok": "complete, sealed, every LoadGen run through the gate, no accuracy below its target",
    "not valid": "complete, but a rule of the gate or an accuracy target was missed",
}
OF_EVALUATIONS = {
    "MMLU": "questions of 57 subjects with four choices each, asked by lm_eval of the very engine "
    "that was timed. mmlu takes the likeliest letter, the other forms have it generated; each form "
    "has numbers of its own",
    "micro, macro": "share of all questions that were answered rightly; mean of the subjects' "
    "shares",
    "95 % interval": "of the micro share Wilson's; of the macro mean normal, the subjects as "
    "strata. It says how far another set of such questions would stray, not how far this one was "
    "misjudged",
    "published": "what the model's makers tell of the same questions in the same form; a speed "
    "whose macro mean is below 99 % of it does not count",
    "McNemar": "two plans on the same questions: under no difference, a question that only one of "
    "them answers rightly is as likely to be of either; p is how often so uneven a split comes",
}
"""Definitions of a report with evaluations."""
ON_GPUS = {
    "physical limit": "what the GPUs could do with samples as long as these if arithmetic and "
    "memory traffic were at NVIDIA's published peaks all the time (roofline model): two "
    "operations for each weight and token, those of attention, weights read once a step for all "
    "samples at once, the KV cache once for each token",
    "expected": "share of the limit that a well-set vLLM is likely to reach Offline: half to three "
    "quarters of the speed at which arithmetic and memory traffic would follow each other",
    "J per output token": "energy of the GPUs from the start to the end of a performance run, by "
    "their own counters, over its output tokens; not told where their power samples disagree by "
    "more than 5 % or have holes. Processors, memory, fans and losses are not in it",
    "tokens/s per W": "tokens/s over the mean power of the GPUs",
}
"""Definitions that a report without GPUs has no use for."""


def definitions(*, gpus: bool, evaluations: bool) -> dict[str, str]:
    """Term to its meaning, without those that a report has no use for."""
    return DEFINITIONS | (OF_EVALUATIONS if evaluations else {}) | (ON_GPUS if gpus else {})
