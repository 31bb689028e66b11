"""What a host ran. Numbers of two runs mean something together only where it is the same."""

from __future__ import annotations

from loadfleet_agent.contract.base import Frozen

from .report.model import FleetReport, HostReport


class Identity(Frozen):
    """Suite, model, samples and labels of what ran on a host."""

    suite: str | None = None
    model: str
    weights: str | None
    config: str
    tokenizer: str
    dataset: str
    library: str
    samples: int
    labels: tuple[str, ...]

    def __str__(self) -> str:
        labels = f", {', '.join(self.labels)}" if self.labels else ""
        return f"{self.suite or 'suite not told'}, {self.model}, {self._samples}{labels}"

    @property
    def _samples(self) -> str:
        return f"{self.samples} samples of the {self.dataset} dataset"

    def matches(self, other: Identity) -> bool:
        return not self.difference(other)

    def difference(self, other: Identity) -> str:
        """What keeps the two from being compared, or ''."""
        if self.suite and other.suite and self.suite != other.suite:
            return f"the {self.suite} suite and the {other.suite} suite"
        if set(self.labels) != set(other.labels):
            return f"labels {_words(self.labels)} and labels {_words(other.labels)}"
        if not _same_weights(self, other):
            return f"model {self._weights} and model {other._weights}"
        if self.tokenizer != other.tokenizer:
            return f"tokenizer {self.tokenizer[:12]} and tokenizer {other.tokenizer[:12]}"
        if self.library != other.library:
            return (
                f"{self._samples} ({self.library[:12]}) and {other._samples} ({other.library[:12]})"
            )
        return ""

    @property
    def _weights(self) -> str:
        stored = f"weights {self.weights[:12]}" if self.weights else f"config {self.config[:12]}"
        return f"{self.model} ({stored})"


def host_identity(host: HostReport, report: FleetReport) -> Identity | None:
    """None for a host that did not come so far as to tell."""
    if host.model is None or host.dataset is None:
        return None
    suite = report.plans.get(host.group or "", {}).get("suite")
    return Identity(
        suite=suite if isinstance(suite, str) else None,
        model=host.model.name,
        weights=host.model.weights_sha256,
        config=host.model.config_sha256,
        tokenizer=host.model.tokenizer_sha256,
        dataset=host.dataset.source,
        library=host.dataset.library_sha256,
        samples=host.dataset.samples,
        labels=host.labels,
    )


def _same_weights(one: Identity, other: Identity) -> bool:
    # The weights are the model, whatever its folder is called. A run may not have read them.
    if one.weights and other.weights:
        return one.weights == other.weights
    return (one.model, one.config) == (other.model, other.config)


def _words(labels: tuple[str, ...]) -> str:
    return ", ".join(labels) or "none"
