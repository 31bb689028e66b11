"""What vLLM's scheduler tells of its load, without the statistics that vLLM makes of requests."""

from __future__ import annotations

from typing import Any

from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.metrics.loggers import PrometheusStatLogger, StatLoggerBase

from .base import EngineLoad


class LoadMeter(StatLoggerBase):  # type: ignore[misc]  # vLLM is not looked at
    """Keeps what the scheduler told last, after each of its steps.

    vLLM does not hold its statistics stable, so a figure that a version does not tell is no error:
    then there is no load.
    """

    def __init__(self) -> None:
        self.load: EngineLoad | None = None

    def record(self, scheduler_stats: Any, *_: Any, **__: Any) -> None:
        if scheduler_stats is None:
            return
        try:
            self.load = EngineLoad(
                running=scheduler_stats.num_running_reqs,
                # Those that cannot be scheduled for the moment are counted apart.
                waiting=scheduler_stats.num_waiting_reqs
                + getattr(scheduler_stats, "num_skipped_waiting_reqs", 0),
                kv_cache=round(scheduler_stats.kv_cache_usage, 4),
            )
        except (AttributeError, TypeError):
            self.load = None

    def log_engine_initialized(self) -> None:
        return None


class MeteredLLM(AsyncLLM):  # type: ignore[misc]
    """AsyncLLM whose scheduler tells its load, and nothing else is counted.

    A logger of our own turns all of vLLM's statistics on: times of every token of every request,
    and some thirty Prometheus metrics after each step, in the process in which LoadGen runs.
    """

    @classmethod
    def start(cls, arguments: AsyncEngineArgs, meter: LoadMeter) -> AsyncLLM:
        """An engine with ``meter``; raises what AsyncLLM raises."""
        llm = cls.from_engine_args(arguments, stat_loggers=[lambda *_: meter])
        loggers = getattr(getattr(llm, "logger_manager", None), "stat_loggers", None)
        if isinstance(loggers, list):
            loggers[:] = [item for item in loggers if not isinstance(item, PrometheusStatLogger)]
        return llm

    def _run_output_handler(self) -> None:
        # Read here for the last time: whether to make statistics of each output.
        self.log_stats = False
        super()._run_output_handler()
