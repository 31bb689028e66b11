"""Which profile fits a kind of GPU, and why: by the profiles' needs and the roofline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from loadfleet_agent.contract.benchmark import MAX_OUTPUT_TOKENS, MEAN_INPUT_TOKENS
from loadfleet_agent.contract.host import GpuFacts
from loadfleet_agent.contract.needs import unmet_by_host
from loadfleet_agent.contract.profile import Build, Profile, known_profiles, load_profile
from loadfleet_agent.contract.roofline import Precision, Roofline, gpu_model, roofline
from loadfleet_agent.contract.settings import HostSettings

from .model import Choice, SeenGpu, SeenHost

MOST_SEQUENCES = 512
"""As many as were measured (docs/performance.md, an H200). More fit a large GPU; tune looks."""
STEP = 64
OF_NAMES = (
    (Precision.W8A8, ("w8a8", "int8")),
    (Precision.W4A16, ("w4a16", "int4", "awq", "gptq")),
    (Precision.FP8, ("fp8",)),
)
"""What in a checkpoint's name tells the form of its weights."""
WHY_FASTER = {
    Precision.W8A8: "int8 halves the arithmetic",
    Precision.FP8: "fp8 halves the arithmetic",
    Precision.W4A16: "int4 weights leave more memory for the KV cache",
}
CPU_PROFILE = "cpu-smoke"


class NoProfile(ValueError):
    """No shipped profile is for a model in this form."""


def precision_of(model: str) -> Precision:
    """By the checkpoint's name; bf16 where that tells nothing."""
    lower = model.lower()
    found = (kind for kind, words in OF_NAMES if any(word in lower for word in words))
    return next(found, Precision.BF16)


def choose_profile(gpus: Sequence[SeenGpu], precision: Precision) -> Choice:
    """For a host with these GPUs and a model in this form. Raises NoProfile.

    Without GPUs that are known it is the usual profile, and the reason says so.
    """
    name, profile = _shipped(precision)
    if not gpus:
        usual = HostSettings.model_fields["profile"].default
        why = "the default" if name == usual else f"for weights in {precision}"
        return Choice(profile=name, reason=f"{why}; no GPU was looked at")
    known = [gpu for gpu in gpus if gpu.memory_mib is not None]
    if not known:
        return Choice(
            profile=name,
            reason=f"for weights in {precision}; the memory of a {gpus[0].name} is not known "
            "without a driver",
        )
    smallest = min(known, key=lambda gpu: gpu.memory_mib or 0)
    if unmet := unmet_by_host(
        profile.needs, [_facts(index, gpu) for index, gpu in enumerate(known)]
    ):
        return Choice(
            profile=name, reason=f"no profile that is shipped for {precision} fits", unmet=unmet
        )
    limits = _limits(smallest, precision, profile.engine.gpu_memory_utilization)
    if limits is None:
        return Choice(
            profile=name,
            reason=f"it fits: {precision} weights, {smallest}; how fast that GPU can be is not "
            "known here",
        )
    engine = {}
    if limits.sequences > profile.engine.max_num_seqs:
        fitting = min(MOST_SEQUENCES, limits.sequences // STEP * STEP)
        if fitting > profile.engine.max_num_seqs:
            engine["max_num_seqs"] = fitting
    return Choice(
        profile=name,
        engine=engine,
        reason=_reason(limits, precision, smallest),
        faster=_faster(smallest, precision, limits),
    )


def choose_cpu() -> Choice:
    """Where no host has a GPU: what at least shows the whole way."""
    return Choice(
        profile=CPU_PROFILE,
        reason="no host has an NVIDIA GPU: a tiny model on the processor shows the whole way, and "
        "measures nothing of worth",
    )


def choose_runtime(hosts: Sequence[SeenHost]) -> tuple[str, str]:
    """container or venv, and why."""
    ready = [host for host in hosts if host.driver is not None]
    without = [host.name for host in ready if not host.docker]
    if ready and without and len(ready) == len([host for host in hosts if host.reached]):
        return "venv", (
            f"the drivers are there and Docker is not (on {without[0]}): a venv needs neither "
            "Docker nor provisioning"
        )
    return "container", "pinned by digest and without privileges; provisioning brings Docker"


def most_frequent(hosts: Sequence[SeenHost]) -> str:
    """The kind of GPU that most hosts have; '' if none was seen."""
    kinds = Counter(host.kind for host in hosts if host.kind)
    return kinds.most_common(1)[0][0] if kinds else ""


def _shipped(precision: Precision) -> tuple[str, Profile]:
    for name in known_profiles():
        profile = load_profile(name)
        if profile.build is Build.CUDA and profile.needs.precision is precision:
            return name, profile
    raise NoProfile(
        f"no profile is shipped for weights in {precision}: name a model in bf16, w8a8 or w4a16, "
        "or write a profile of your own (docs/settings.md)"
    )


def _facts(index: int, gpu: SeenGpu) -> GpuFacts:
    return GpuFacts(
        index=index,
        name=gpu.name,
        uuid="",
        memory_mib=gpu.memory_mib or 0,
        compute_capability=gpu.compute_capability,
    )


def _limits(gpu: SeenGpu, precision: Precision, memory_share: float) -> Roofline | None:
    model = gpu_model(gpu.name)
    if model is None or gpu.memory_mib is None:
        return None
    return roofline(
        model,
        gpu.name,
        float(gpu.memory_mib << 20),
        precision,
        prompt_tokens=MEAN_INPUT_TOKENS,
        answer_tokens=MAX_OUTPUT_TOKENS,
        memory_share=memory_share,
    )


def _reason(limits: Roofline, precision: Precision, gpu: SeenGpu) -> str:
    memory_s = limits.answer_tokens / limits.decode_tokens_per_s
    arithmetic_s = 1 / limits.serial_samples_per_s - memory_s
    bound = "arithmetic" if arithmetic_s > memory_s else "memory traffic"
    low, high = limits.expected_samples_per_s
    return (
        f"{precision} weights take {limits.weight_gib:.1f} GiB and leave room for "
        f"{limits.sequences} samples at once on {gpu}; {bound} is its limit; expected are "
        f"{low:.1f} to {high:.1f} samples/s a GPU"
    )


def _faster(gpu: SeenGpu, chosen: Precision, limits: Roofline) -> str:
    """The fastest other form of the weights that this GPU has units and a way for."""
    model = gpu_model(gpu.name)
    assert model is not None
    best: tuple[float, Precision, Roofline] | None = None
    for precision in model.precisions:
        found = _limits(gpu, precision, 0.94)
        if found is None or precision is chosen:
            continue
        gain = found.serial_samples_per_s / limits.serial_samples_per_s
        if gain > 1.1 and (best is None or gain > best[0]):
            best = gain, precision, found
    if best is None:
        return ""
    gain, precision, found = best
    low, high = found.expected_samples_per_s
    if precision is Precision.FP8:
        how = "loadfleet_engine: {quantization: fp8} makes it of the same checkpoint"
    else:
        how = f"it needs a checkpoint in that form: init --model REPO --precision {precision}"
    return (
        f"{precision} would be faster, {low:.1f} to {high:.1f} samples/s: {WHY_FASTER[precision]}; "
        f"{how}, and its accuracy is another"
    )
