"""All that the agent and the controller share: models, file names, the rules of the benchmark.

Imports nothing heavy. The aggregator imports this package and nothing else of the agent.
"""

from .base import SCHEMA_VERSION, utc_now
from .benchmark import Mode, Scenario
from .distribution import Distribution
from .host import GpuFacts, HostFacts
from .plan import RunPlan, phase_name
from .result import Accuracy, HostResult, Manifest, PhaseResult, RougeScore
from .settings import HostSettings, SettingsError, parse_settings, resolve_plan
from .status import Event, Failure, FailureCode, Level, State, Status, make_failure

__all__ = [
    "SCHEMA_VERSION",
    "Accuracy",
    "Distribution",
    "Event",
    "Failure",
    "FailureCode",
    "GpuFacts",
    "HostFacts",
    "HostResult",
    "HostSettings",
    "Level",
    "Manifest",
    "Mode",
    "PhaseResult",
    "RougeScore",
    "RunPlan",
    "Scenario",
    "SettingsError",
    "State",
    "Status",
    "make_failure",
    "parse_settings",
    "phase_name",
    "resolve_plan",
    "utc_now",
]
