"""What a host's own facts say in answer to MLPerf's fields. A value of None must be asked for."""

from __future__ import annotations

from collections import Counter

from loadfleet_agent.contract.model import HubModel

from .measured import Measured

NOT_APPLICABLE = "N/A"
BYTES_OF_TOKEN_ID = 4
DTYPES = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}


def known_system(host: Measured) -> dict[str, str | None]:
    """The fields of the system description that are told by the host's side."""
    facts = host.facts
    return {
        "system_type": host.suite.value,
        "system_name": _system_name(host),
        "number_of_nodes": "1",
        "host_processors_per_node": str(facts.cpu_sockets),
        "host_processor_model_name": facts.cpu_model,
        "host_processor_core_count": str(max(1, facts.cpu_cores // facts.cpu_sockets)),
        "host_memory_capacity": f"{facts.memory_mib / 1024:.0f} GiB",
        "framework": framework(host),
        "operating_system": f"{facts.operating_system}, Linux {facts.kernel}",
        "other_software_stack": software(host),
        "hw_notes": _hardware_notes(host),
        "sw_notes": _software_notes(host),
    } | _known_accelerator(host)


def _known_accelerator(host: Measured) -> dict[str, str | None]:
    used = host.accelerators
    if not used:
        return {
            "accelerators_per_node": "0",
            "accelerator_model_name": NOT_APPLICABLE,
            "accelerator_frequency": "",
            "accelerator_host_interconnect": NOT_APPLICABLE,
            "accelerator_interconnect": NOT_APPLICABLE,
            "accelerator_memory_capacity": NOT_APPLICABLE,
        }
    gpu = host.facts.gpus[0] if host.facts.gpus else None
    link = None
    if gpu is not None and gpu.pcie_generation_max and gpu.pcie_width_max:
        link = f"PCIe Gen{gpu.pcie_generation_max} x{gpu.pcie_width_max}"
    return {
        "accelerators_per_node": str(used),
        "accelerator_model_name": gpu.name if gpu else None,
        "accelerator_frequency": f"{gpu.sm_clock_max_mhz} MHz"
        if gpu and gpu.sm_clock_max_mhz
        else "",
        "accelerator_host_interconnect": link,
        "accelerator_interconnect": NOT_APPLICABLE if used == 1 else None,
        "accelerator_memory_capacity": f"{gpu.memory_mib / 1024:.0f} GiB" if gpu else None,
    }


def known_measurements(host: Measured) -> dict[str, str | None]:
    """measurements.json. Quantised weights have a history that only people know."""
    quantised = is_quantised(host)
    dtype = host.plan.engine.dtype
    return {
        "input_data_types": "int32",
        "retraining": "No",
        "starting_weights_filename": weights(host),
        "weight_data_types": None if quantised else DTYPES[dtype],
        "weight_transformations": None if quantised else f"none; loaded as {dtype}",
    }


def is_quantised(host: Measured) -> bool:
    """By the plan, or by what the engine found in the model itself."""
    return bool(host.plan.engine.quantization or host.engine.settings.get("quantization"))


def needs_calibration(host: Measured) -> bool:
    """Whether the rules ask how values were quantised: weights, or the KV cache."""
    return is_quantised(host) or host.plan.engine.kv_cache_dtype != "auto"


def weights(host: Measured) -> str:
    """Name, revision and hash of the weights."""
    source = host.plan.model
    revision = f" at {source.revision}" if isinstance(source, HubModel) else ""
    digest = host.model.weights_sha256
    return f"{host.model.name}{revision}" + (
        f", sha256 over its files' names and hashes {digest}" if digest else ""
    )


def framework(host: Measured) -> str:
    return (
        host.engine.version
        if host.engine.kind in host.engine.version
        else " ".join((host.engine.kind, host.engine.version))
    )


def software(host: Measured) -> str:
    """Everything that decides a result beside the framework, with its version."""
    facts = host.facts
    parts = [
        facts.nvidia_driver and f"NVIDIA driver {facts.nvidia_driver}",
        facts.cuda_driver and f"CUDA {facts.cuda_driver}",
        f"Python {facts.python}",
        *(f"{name} {version}" for name, version in sorted(facts.packages.items())),
        facts.container_image and f"container image {facts.container_image}",
    ]
    return ", ".join(part for part in parts if part)


def _system_name(host: Measured) -> str | None:
    used = host.accelerators
    if not used:
        return f"{host.facts.cpu_sockets}x {host.facts.cpu_model}"
    return f"{used}x {host.facts.gpus[0].name}" if host.facts.gpus else None


def _hardware_notes(host: Measured) -> str:
    notes = []
    gpus = host.facts.gpus if host.accelerators else ()
    if len(gpus) > host.accelerators:
        notes.append(f"{host.accelerators} of the host's {len(gpus)} GPUs used")
    ecc = Counter(gpu.ecc_enabled for gpu in gpus)
    if gpus:
        words = {True: "on", False: "off", None: "unknown"}
        notes.append("ECC of the GPUs " + ", ".join(words[state] for state in ecc))
    notes += sorted(
        {f"power limit {gpu.power_limit_w:.0f} W" for gpu in gpus if gpu.power_limit_w is not None}
    )
    if any(gpu.mig_enabled for gpu in gpus):
        notes.append("MIG enabled")
    if host.facts.virtualization not in ("none", "unknown"):
        notes.append(f"virtualised ({host.facts.virtualization})")
    return "; ".join(notes)


def _software_notes(host: Measured) -> str:
    labels = f"; labels: {', '.join(host.labels)}" if host.labels else ""
    version = host.result.phases[0].loadgen.loadgen_version if host.result.phases else "unknown"
    return f"LoadGen {version}, run by loadfleet-agent on the same host{labels}"
