"""LoadGen as its own examples use it: FromConfig and StartTest in one process, answers at once.

usage: python direct_run.py USER_CONF MODEL SCENARIO MODE SAMPLES FOLDER FIELDS AUDIT_CONFIG
"""

from __future__ import annotations

import array
import json
import sys
import threading

import mlperf_loadgen as loadgen

TOKENS = array.array("i", range(16))


def main(
    conf: str,
    model: str,
    scenario: str,
    mode: str,
    samples: str,
    folder: str,
    fields: str,
    audit: str,
) -> None:
    settings = loadgen.TestSettings()
    assert settings.FromConfig(conf, model, scenario) == 0
    settings.scenario = getattr(loadgen.TestScenario, scenario)
    settings.mode = getattr(loadgen.TestMode, mode)
    for name, value in json.loads(fields).items():
        setattr(settings, name, value)
    address, count = TOKENS.buffer_info()

    def answer(ids: list[int]) -> None:
        for query in ids:
            if scenario != "Offline":
                loadgen.FirstTokenComplete([loadgen.QuerySampleResponse(query, address, 4)])
            loadgen.QuerySamplesComplete(
                [loadgen.QuerySampleResponse(query, address, 4 * count, count)]
            )

    def issue(queries: list[loadgen.QuerySample]) -> None:
        ids = [query.id for query in queries]
        threading.Thread(target=answer, args=(ids,), daemon=True).start()

    output, log = loadgen.LogOutputSettings(), loadgen.LogSettings()
    output.outdir, output.copy_summary_to_stdout = folder, False
    log.log_output, log.enable_trace = output, False
    system = loadgen.ConstructSUT(issue, lambda: None)
    number = int(samples)
    library = loadgen.ConstructQSL(number, number, lambda _: None, lambda _: None)
    loadgen.StartTestWithLogSettings(system, library, settings, log, audit)


if __name__ == "__main__":
    main(*sys.argv[1:])
