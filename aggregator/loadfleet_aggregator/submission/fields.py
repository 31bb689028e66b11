"""The fields of MLPerf's system description and of measurements.json, as data.

The system's fields and which of them must say something: ``SYSTEM_DESC_REQUIRED_FIELDS`` and
``..._MEANINGFUL_RESPONSE_...`` of the submission checker in mlcommons/inference at b66003e1; their
meaning: ``submission_rules.adoc`` of mlcommons/policies at c195f80f.
"""

from __future__ import annotations

from enum import StrEnum

from loadfleet_agent.contract.base import Frozen


class Source(StrEnum):
    """Who knows a field."""

    CALL = "call"
    """The command itself: division, submitter."""
    HOST = "host"
    """The host's facts, mostly."""
    USER = "user"
    """Only people, and the same for all hosts unless they say otherwise."""


class Field(Frozen):
    """One field; ``required`` ones must not be empty, but may say n/a."""

    name: str
    source: Source
    required: bool
    hint: str = ""


def _field(name: str, source: Source, hint: str = "", *, required: bool = True) -> Field:
    return Field(name=name, source=source, required=required, hint=hint)


_CALL, _HOST, _USER = Source.CALL, Source.HOST, Source.USER

SYSTEM_FIELDS = (
    _field("submitter", _CALL),
    _field("division", _CALL),
    _field("status", _USER, "available, preview or rdi"),
    _field("system_type", _HOST, "datacenter or edge"),
    _field(
        "system_type_detail", _USER, "cloud, on-premise, edge-server, edge-device", required=False
    ),
    _field("system_name", _HOST, "the system's name in MLPerf's tables"),
    _field("number_of_nodes", _HOST),
    _field("host_processors_per_node", _HOST, "sockets"),
    _field("host_processor_model_name", _HOST),
    _field("host_processor_core_count", _HOST, "physical cores of one processor"),
    _field("host_processor_frequency", _USER, "e.g. 2000 MHz", required=False),
    _field("host_processor_caches", _USER, required=False),
    _field("host_processor_interconnect", _USER, required=False),
    _field("host_memory_capacity", _HOST),
    _field("host_memory_configuration", _USER, "e.g. 12x 32GB 2Rx4 PC4-2666V-R; ECC must be on"),
    _field("host_storage_type", _USER, "e.g. NVMe SSD"),
    _field("host_storage_capacity", _USER, "e.g. 1.9 TB"),
    _field("host_networking", _USER, "e.g. 2x 25 Gb/s Ethernet"),
    _field("host_network_card_count", _USER, "e.g. 1x 25GbE dual port"),
    _field("host_networking_topology", _USER, "n/a for one node"),
    _field("accelerators_per_node", _HOST, "that the run used"),
    _field("accelerator_model_name", _HOST),
    _field("accelerator_frequency", _HOST, required=False),
    _field("accelerator_host_interconnect", _HOST, "e.g. PCIe Gen4 x16"),
    _field("accelerator_interconnect", _HOST, "between accelerators; n/a for one"),
    _field("accelerator_interconnect_topology", _USER, required=False),
    _field("accelerator_memory_capacity", _HOST),
    _field("accelerator_memory_configuration", _USER, "e.g. HBM2"),
    _field("accelerator_on-chip_memories", _USER, required=False),
    _field("cooling", _USER, "air, liquid or passive"),
    _field("framework", _HOST),
    _field("operating_system", _HOST),
    _field("other_software_stack", _HOST),
    _field("hw_notes", _HOST, required=False),
    _field("sw_notes", _HOST, required=False),
)
EXTRA_FIELDS = frozenset({"host_processor_vcpu_count", "system_power_capacity"})
"""Fields beyond those that MLPerf knows and that may be given too."""
VALID_STATUS = ("available", "preview", "rdi")

MEASUREMENT_FIELDS = (
    _field("input_data_types", _HOST),
    _field("retraining", _HOST),
    _field("starting_weights_filename", _HOST),
    _field("weight_data_types", _HOST, "e.g. bf16, int8"),
    _field("weight_transformations", _HOST, "e.g. quantization"),
)
