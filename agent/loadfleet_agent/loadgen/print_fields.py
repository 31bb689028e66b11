"""Prints, as JSON, all plain fields of TestSettings after LoadGen has read a user.conf.

usage: python -m loadfleet_agent.loadgen.print_fields USER_CONF MODEL SCENARIO

A program of its own that imports next to nothing: it is started before every LoadGen run.
"""

from __future__ import annotations

import json
import sys

import mlperf_loadgen as loadgen


def main(conf: str, model: str, scenario: str) -> None:
    settings = loadgen.TestSettings()
    code = settings.FromConfig(conf, model, scenario)
    if code != 0:
        raise SystemExit(f"LoadGen returned {code}")
    fields = {
        name: getattr(settings, name)
        for name in dir(settings)
        if not name.startswith("_") and isinstance(getattr(settings, name), (bool, int, float))
    }
    print(json.dumps(fields))


if __name__ == "__main__":
    main(*sys.argv[1:])
