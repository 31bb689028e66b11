"""The stand-in answers as NVIDIA's software does, and apt takes its packages as it takes those."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from apt_repository import AptRepository
from loadfleet_agent.contract.host import GpuFacts, HostFacts
from loadfleet_agent.contract.result import HostResult
from standin import docker, gpus, packages
from standin.compiler import compile_driver, compile_program
from standin.debian import Package, build
from standin.gpus import Document, a30
from waiting import wait_until

DRIVER = packages.DRIVER
NO_DRIVER = (
    "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. "
    "Make sure that the latest NVIDIA driver is installed and running."
)
NOBODY = 65534

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="nvidia-smi sets values for root only")


@pytest.fixture(scope="session")
def programs() -> Iterator[Path]:
    """The stand-in's programs, where another user can run them too."""
    folder = Path(tempfile.mkdtemp(prefix="standin-"))
    folder.chmod(0o755)
    compile_driver(DRIVER, folder)
    compile_program("nvidia-ctk", packages.TOOLKIT, folder)
    yield folder
    shutil.rmtree(folder)


class Host:
    """A folder that is a host to the stand-in's programs, with its GPUs and a loaded driver."""

    def __init__(self, root: Path, programs: Path) -> None:
        self.root = root
        self.programs = programs
        (root / "run").mkdir(parents=True)
        root.chmod(0o755)
        self.set(a30())
        gpus.write_loaded(root, DRIVER)

    def set(self, document: Document) -> None:
        gpus.write(self.root, document)

    @property
    def gpu(self) -> dict[str, Any]:
        """The first GPU as the document has it now."""
        gpu: dict[str, Any] = gpus.read(self.root)["gpus"][0]
        return gpu

    def run(
        self, command: str | Path, *arguments: str, user: int | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {
            "NVIDIA_STANDIN_ROOT": str(self.root),
            "LD_LIBRARY_PATH": str(self.programs),
        }
        return subprocess.run(
            [str(self.programs / command), *arguments],
            env=environment | variables, user=user, cwd="/",
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    def smi(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return self.run("nvidia-smi", *arguments, **options)

    def query(self, *fields: str) -> list[str]:
        """Values of the first GPU, without units."""
        done = self.smi(f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits")
        assert done.returncode == 0, done.stdout
        return done.stdout.splitlines()[0].split(", ")

    def python(self, script: str) -> Any:
        """What a Python process that finds the stand-in's NVML prints, read as JSON."""
        done = self.run(sys.executable, "-c", script)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def host(programs: Path) -> Iterator[Host]:
    with tempfile.TemporaryDirectory(prefix="standin-host-") as folder:
        Path(folder).chmod(0o755)
        yield Host(Path(folder) / "root", programs)


# nvidia-smi: queries


def test_a_query_is_formatted_as_the_real_tool_formats_it(host: Host) -> None:
    fields = (
        "index,gpu_name,uuid,pci.bus_id,driver_version,memory.total,memory.free,power.limit,"
        "mig.mode.current,clocks.sm,clocks.max.sm,temperature.gpu,utilization.gpu,fan.speed,"
        "clocks_throttle_reasons.active,clocks_throttle_reasons.gpu_idle,compute_cap,count"
    )
    done = host.smi(f"--query-gpu={fields}", "--format=csv")
    assert done.stdout.splitlines() == [
        "index, name, uuid, pci.bus_id, driver_version, memory.total [MiB], memory.free [MiB], "
        "power.limit [W], mig.mode.current, clocks.current.sm [MHz], clocks.max.sm [MHz], "
        "temperature.gpu, utilization.gpu [%], fan.speed [%], clocks_event_reasons.active, "
        "clocks_event_reasons.gpu_idle, compute_cap, count",
        f"0, NVIDIA A30, {host.gpu['uuid']}, 00000000:17:00.0, 580.105.08, 24576 MiB, 24065 MiB, "
        "165.00 W, Disabled, 210 MHz, 1440 MHz, 31, 0 %, [N/A], 0x0000000000000001, Active, 8.0, 1",
    ]
    assert done.returncode == 0


def test_a_query_without_header_and_units(host: Host) -> None:
    for option in ("--format=csv,noheader,nounits", "--format=csv, noheader, nounits"):
        done = host.smi("--query-gpu=memory.total,power.draw,enforced.power.limit", option)
        assert done.stdout == "24576, 28.40, 165.00\n"


def test_an_unknown_field_or_format_is_refused(host: Host) -> None:
    done = host.smi("--query-gpu=name,bogus", "--format=csv")
    assert (done.returncode, done.stdout) == (2, 'Field "bogus" is not a valid field to query.\n')
    done = host.smi("--query-gpu=name", "--format=xml")
    assert (done.returncode, done.stdout) == (2, "Format modifier is not recognized.\n")


def test_a_field_that_only_the_document_knows_is_answered(host: Host) -> None:
    host.set({"gpus": [a30()["gpus"][0] | {"vbios_version": "92.00.66.00.0D"}]})
    assert host.query("vbios_version") == ["92.00.66.00.0D"]


def test_gpus_are_chosen_by_index_uuid_and_bus_id(host: Host) -> None:
    host.set(a30("two", count=2))
    second = gpus.read(host.root)["gpus"][1]
    for name in ("1", second["uuid"], second["pci.bus_id"], "1,7"):
        done = host.smi("-i", name, "--query-gpu=uuid", "--format=csv,noheader")
        assert done.stdout == f"{second['uuid']}\n"
    done = host.smi("-i", "7", "--query-gpu=uuid", "--format=csv,noheader")
    assert (done.returncode, done.stdout) == (6, "No devices were found\n")
    assert host.smi().stdout.count("NVIDIA A30") == 2


def test_listing_and_version(host: Host) -> None:
    assert host.smi("-L").stdout == f"GPU 0: NVIDIA A30 (UUID: {host.gpu['uuid']})\n"
    assert host.smi("-L", "-i", "0").returncode == 2
    version = host.smi("--version").stdout
    assert "NVIDIA-SMI version  : 580.105.08\nNVML version        : 580.105\n" in version
    assert "CUDA Version        : 13.0\n" in version
    assert "stand-in" in version


def test_the_summary_has_the_real_tools_table(host: Host) -> None:
    host.set(gpus.other_process(a30()))
    lines = host.smi().stdout.splitlines()
    assert {len(line) for line in lines[1:] if line} == {91}
    assert "| NVIDIA-SMI 580.105.08             Driver Version: 580.105.08" in lines[2]
    assert [" ".join(line.split()) for line in lines if "A30" in line or "24576MiB" in line] == [
        "| 0 NVIDIA A30 Off | 00000000:17:00.0 Off | 0 |",
        "| N/A 31C P0 28W / 165W | 8192MiB / 24576MiB | 97% Default |",
    ]
    assert any("4242      C   /usr/bin/other-job" in line for line in lines)


def test_the_details_tell_what_it_is(host: Host) -> None:
    details = host.smi("-q").stdout
    assert "    Persistence Mode                                   : Disabled\n" in details
    assert "        Max Power Limit                                : 165.00 W\n" in details
    assert "loadfleet test stand-in: there is no GPU behind this" in details


def test_a_wrong_command_line_is_refused(host: Host) -> None:
    done = host.smi("--bogus")
    assert done.returncode == 255
    assert done.stdout == ("ERROR: Option --bogus is not recognized. Please run 'nvidia-smi -h'.\n")
    done = host.smi("-pl")
    assert (done.returncode, "is missing its value" in done.stdout) == (255, True)


def test_a_document_that_is_no_json_is_an_error_of_its_own(host: Host) -> None:
    (host.root / gpus.GPUS).write_text("{", encoding="utf-8")
    done = host.smi("-L")
    assert done.returncode == 255
    assert "not a JSON document of stand-in GPUs" in done.stderr


# Modes


@pytest.mark.parametrize(
    ("mode", "answers"),
    [
        ("healthy", {"mig.mode.current": "Disabled", "ecc.mode.current": "Enabled"}),
        ("mig_on", {"mig.mode.current": "Enabled", "utilization.gpu": "[N/A]"}),
        (
            "throttling",
            {
                "clocks_throttle_reasons.active": "0x0000000000000048",
                "clocks_event_reasons.hw_thermal_slowdown": "Active",
                "clocks_event_reasons.sw_power_cap": "Not Active",
                "temperature.gpu": "93",
                "clocks.sm": "435",
            },
        ),
        (
            "ecc_errors",
            {
                "ecc.errors.corrected.volatile.total": "12",
                "ecc.errors.uncorrected.volatile.total": "3",
            },
        ),
        (
            "ecc_off",
            {
                "ecc.mode.current": "Disabled",
                "ecc.errors.corrected.volatile.total": "[N/A]",
            },
        ),
        (
            "wrong_power_cap",
            {
                "power.limit": "120.00",
                "enforced.power.limit": "120.00",
                "power.default_limit": "165.00",
            },
        ),
        ("other_process", {"memory.used": "8192", "utilization.gpu": "97"}),
    ],
)
def test_a_mode_shows_in_its_fields(host: Host, mode: str, answers: dict[str, str]) -> None:
    host.set(gpus.MODES[mode](a30()))
    assert host.query(*answers) == list(answers.values())


@pytest.mark.parametrize(
    ("mode", "code", "message", "nvml"),
    [
        ("missing_driver", 9, NO_DRIVER, "NVMLError_DriverNotLoaded"),
        (
            "version_mismatch",
            18,
            "Failed to initialize NVML: Driver/library version mismatch\n"
            "NVML library version: 580.105",
            "NVMLError_LibRmVersionMismatch",
        ),
    ],
)
def test_without_a_fitting_driver_everything_fails_with_its_code(
    host: Host, mode: str, code: int, message: str, nvml: str
) -> None:
    host.set(gpus.MODES[mode](a30()))
    for arguments in ([], ["-L"], ["--query-gpu=name", "--format=csv"], ["-pl", "150"]):
        done = host.smi(*arguments)
        assert (done.returncode, done.stdout.strip()) == (code, message)
    script = (
        "import json, pynvml\n"
        "try: pynvml.nvmlInit()\n"
        "except pynvml.NVMLError as error: print(json.dumps(type(error).__name__))"
    )
    assert host.python(script) == nvml


def test_a_driver_that_no_boot_loaded_is_missing(host: Host) -> None:
    (host.root / gpus.LOADED).unlink()
    assert host.smi("-L").returncode == 9
    gpus.write_loaded(host.root, packages.OLD_DRIVER)
    assert host.smi("-L").returncode == 18
    gpus.write_loaded(host.root, DRIVER)
    assert host.smi("-L").returncode == 0


def test_a_driver_without_devices(host: Host) -> None:
    host.set(gpus.no_devices(a30()))
    done = host.smi("--query-gpu=name", "--format=csv")
    assert (done.returncode, done.stdout) == (6, "No devices were found\n")
    assert host.python(COUNT) == 0


@as_root
def test_a_container_cannot_set_what_it_has_read_only(host: Host) -> None:
    script = f'mount --bind -o ro {host.root}/etc {host.root}/etc && exec "$@"'
    smi = str(host.programs / "nvidia-smi")
    done = host.run("/usr/bin/unshare", "--mount", "sh", "-c", script, "sh", smi, "-pl", "150")
    assert (done.returncode, done.stdout.splitlines()[0]) == (
        4,
        "Failed to set power management limit for GPU 00000000:17:00.0: Insufficient Permissions",
    )
    assert host.query("power.limit") == ["165.00"]


def test_healthy_undoes_every_mode() -> None:
    document = a30("host", count=2)
    for mode in gpus.MODES.values():
        if mode is not gpus.no_devices:  # which leaves no GPU to make healthy
            assert gpus.healthy(mode(document)) == document
    assert document == a30("host", count=2), "a mode changes a copy"


def test_no_two_gpus_are_the_same() -> None:
    documents = [a30(host, count=4) for host in ("a", "b")]
    for key in ("uuid", "serial"):
        assert len({gpu[key] for document in documents for gpu in document["gpus"]}) == 8


def test_the_processes_on_a_gpu(host: Host) -> None:
    fields = "--query-compute-apps=pid,process_name,used_memory,gpu_uuid"
    header = "pid, process_name, used_gpu_memory [MiB], gpu_uuid\n"
    assert host.smi(fields, "--format=csv").stdout == header
    host.set(gpus.other_process(a30()))
    row = f"4242, /usr/bin/other-job, 8192 MiB, {host.gpu['uuid']}\n"
    assert host.smi(fields, "--format=csv").stdout == header + row
    done = host.smi("--query-compute-apps=bogus", "--format=csv")
    assert done.returncode == 2


# nvidia-smi: settings


@as_root
def test_a_power_limit_is_checked_and_lasts_until_the_driver_loads_anew(host: Host) -> None:
    done = host.smi("-i", "0", "-pl", "150")
    assert done.returncode == 0
    assert done.stdout.startswith(
        "Power limit for GPU 00000000:17:00.0 was set to 150.00 W from 165.00 W.\n"
    )
    assert "Warning: persistence mode is disabled on device 00000000:17:00.0." in done.stdout
    assert done.stdout.endswith("All done.\n")
    assert host.query("power.limit", "enforced.power.limit") == ["150.00", "150.00"]
    assert host.run("nvidia-standin-load").returncode == 0
    assert host.query("power.limit", "enforced.power.limit") == ["165.00", "165.00"]
    for watts in ("99", "166"):
        done = host.smi("-pl", watts)
        assert (done.returncode, done.stdout) == (
            2,
            f"Provided power limit {watts}.00 W is not a valid power limit which should be between "
            "100.00 W and 165.00 W for GPU 00000000:17:00.0\n"
            "Terminating early due to previous errors.\n",
        )
    assert host.smi("-pl", "much").returncode == 2


@as_root
def test_a_cap_of_the_document_comes_back_with_the_driver(host: Host) -> None:
    host.set(gpus.wrong_power_cap(a30()))
    assert host.smi("-pl", "165").returncode == 0
    assert host.query("power.limit") == ["165.00"]
    host.run("nvidia-standin-load")
    assert host.query("power.limit") == ["120.00"]
    assert host.gpu == gpus.wrong_power_cap(a30())["gpus"][0]


@as_root
def test_a_mode_is_the_hardwares_also_after_a_setting(host: Host) -> None:
    host.smi("-pl", "150")
    host.smi("-pm", "1")
    host.set(gpus.wrong_power_cap(gpus.read(host.root)))
    host.run("nvidia-standin-load")
    assert host.query("power.limit", "persistence_mode") == ["120.00", "Disabled"]


@as_root
@pytest.mark.parametrize(
    ("option", "field", "done", "unchanged"),
    [
        (
            "-mig",
            "mig.mode",
            "Warning: MIG mode is in pending enable state for GPU 00000000:17:00.0:In use by",
            "Enabled MIG Mode for GPU 00000000:17:00.0\nAll done.\n",
        ),
        (
            "-e",
            "ecc.mode",
            "Disabled ECC support for GPU 00000000:17:00.0.\nAll done.\nReboot required.\n",
            "ECC support is already Disabled for GPU 00000000:17:00.0.\nAll done.\n",
        ),
    ],
)
def test_mig_and_ecc_wait_for_the_driver_to_load(
    host: Host, option: str, field: str, done: str, unchanged: str
) -> None:
    before = host.gpu[f"{field}.current"]
    value, after = ("0", "Disabled") if before == "Enabled" else ("1", "Enabled")
    assert host.smi(option, value).stdout.startswith(done)
    assert host.query(f"{field}.current", f"{field}.pending") == [before, after]
    assert host.run("nvidia-standin-load").returncode == 0
    assert host.query(f"{field}.current", f"{field}.pending") == [after, after]
    assert host.smi(option, value).stdout == unchanged


@as_root
def test_persistence_mode(host: Host) -> None:
    assert host.smi("-pm", "1").stdout == (
        "Enabled persistence mode for GPU 00000000:17:00.0.\nAll done.\n"
    )
    assert host.smi("--persistence-mode=1").stdout == (
        "Persistence mode is already Enabled for GPU 00000000:17:00.0.\nAll done.\n"
    )
    assert "Warning" not in host.smi("-pl", "150").stdout
    host.run("nvidia-standin-load")
    assert host.query("persistence_mode") == ["Disabled"]


@as_root
def test_clocks_are_locked_and_reset(host: Host) -> None:
    done = host.smi("-lgc", "1200,1440")
    assert done.stdout.startswith(
        'GPU clocks set to "(gpuClkMin 1200, gpuClkMax 1440)" for GPU 00000000:17:00.0\n'
    )
    assert host.query("clocks.sm") == ["1200"]
    assert host.smi("-rgc").returncode == 0
    assert host.query("clocks.sm") == ["210"]
    assert host.gpu == a30()["gpus"][0]
    assert host.smi("-lgc", "1440,1200").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-pl", "150"], "Failed to set power management limit for GPU 00000000:17:00.0: "),
        (["-pm", "1"], "Unable to set persistence mode for GPU 00000000:17:00.0: "),
        (["-mig", "1"], "Unable to enable MIG Mode for GPU 00000000:17:00.0: "),
        (["-e", "0"], "Unable to disable ECC support for GPU 00000000:17:00.0: "),
        (["-lgc", "1200"], "The current user does not have permission to change clocks for GPU "),
    ],
)
def test_settings_need_root(host: Host, arguments: list[str], message: str) -> None:
    before = host.gpu
    done = host.smi(*arguments, user=NOBODY if os.geteuid() == 0 else None)
    assert done.returncode == 4
    assert done.stdout.startswith(message)
    assert done.stdout.endswith("Terminating early due to previous errors.\n")
    assert host.gpu == before


@as_root
def test_settings_at_the_same_time_are_all_kept(host: Host) -> None:
    host.set(a30(count=12))
    commands = [
        subprocess.Popen(
            [host.programs / "nvidia-smi", "-i", str(index), "-pl", str(110 + index)],
            env=os.environ | {"NVIDIA_STANDIN_ROOT": str(host.root)},
            stdout=subprocess.DEVNULL,
        )
        for index in range(12)
    ]
    assert [command.wait() for command in commands] == [0] * 12
    limits = [gpu["power.limit"] for gpu in gpus.read(host.root)["gpus"]]
    assert limits == list(range(110, 122))


# nvidia-persistenced


@as_root
@pytest.mark.parametrize(
    ("option", "while_it_runs"),
    [("--persistence-mode", "Enabled"), ("--no-persistence-mode", "Disabled")],
)
def test_the_daemon_holds_persistence_mode_while_it_runs(
    host: Host, option: str, while_it_runs: str
) -> None:
    done = host.run("nvidia-persistenced", "--user", "nobody", option, "--verbose")
    assert done.returncode == 0, done.stderr
    pid = int((host.root / "run/nvidia-persistenced/nvidia-persistenced.pid").read_text())
    try:
        assert host.query("persistence_mode") == [while_it_runs]
        status = Path(f"/proc/{pid}/status")
        wait_until(lambda: f"\t{NOBODY}\t" in status.read_text(), "the daemon drops to its user")
    finally:
        os.kill(pid, signal.SIGTERM)
    wait_until(lambda: host.query("persistence_mode") == ["Disabled"], "persistence mode ends")


@as_root
def test_the_daemon_fails_without_a_driver_or_its_user(host: Host) -> None:
    done = host.run("nvidia-persistenced", "--user", "no-such-user")
    assert (done.returncode, done.stderr) == (
        1,
        "Failed to find user ID of user 'no-such-user'\n",
    )
    (host.root / gpus.LOADED).unlink()
    done = host.run("nvidia-persistenced")
    assert done.returncode == 1
    assert done.stderr.startswith("Failed to query NVIDIA devices.")


# Loading


@as_root
def test_loading_is_refused_where_the_document_has_no_driver(host: Host) -> None:
    (host.root / gpus.LOADED).unlink()
    host.set(gpus.missing_driver(a30()))
    assert host.run("nvidia-standin-load").returncode == 0
    assert not (host.root / gpus.LOADED).exists()
    host.set(a30())
    assert host.run("nvidia-standin-load").returncode == 0
    assert (host.root / gpus.LOADED).read_text() == f"{DRIVER}\n"


# NVML, as the agent asks it

COUNT = """
import pynvml
pynvml.nvmlInit()
print(pynvml.nvmlDeviceGetCount())
"""

FACTS = """
from loadfleet_agent.host.facts import host_facts
print(host_facts().model_dump_json())
"""


def facts(host: Host) -> HostFacts:
    return HostFacts.model_validate(host.python(FACTS))


def test_the_agent_sees_a_healthy_a30(host: Host) -> None:
    seen = facts(host)
    assert (seen.nvidia_driver, seen.cuda_driver) == ("580.105.08", "13.0")
    assert seen.gpus == (
        GpuFacts(
            index=0,
            name="NVIDIA A30",
            uuid=host.gpu["uuid"],
            memory_mib=24576,
            pci_bus_id="00000000:17:00.0",
            power_limit_w=165,
            power_limit_default_w=165,
            ecc_enabled=True,
            mig_enabled=False,
            persistence_mode=False,
            pcie_generation_max=4,
            pcie_width_max=16,
            sm_clock_max_mhz=1440,
            compute_capability="8.0",
        ),
    )


@pytest.mark.parametrize(
    ("mode", "fact", "value"),
    [
        ("mig_on", "mig_enabled", True),
        ("ecc_off", "ecc_enabled", False),
        ("wrong_power_cap", "power_limit_w", 120),
    ],
)
def test_the_agent_sees_a_mode(host: Host, mode: str, fact: str, value: object) -> None:
    host.set(gpus.MODES[mode](a30()))
    assert getattr(facts(host).gpus[0], fact) == value


@pytest.mark.parametrize("mode", ["missing_driver", "version_mismatch"])
def test_the_agent_sees_no_driver(host: Host, mode: str) -> None:
    host.set(gpus.MODES[mode](a30()))
    seen = facts(host)
    assert (seen.nvidia_driver, seen.gpus) == (None, ())


TELEMETRY = """
import sys
from pathlib import Path
from loadfleet_agent.host.telemetry import Telemetry
path = Path({path!r})
telemetry = Telemetry(path, interval_s=0.01)
telemetry.start()
while not (path.exists() and path.read_text().count("\\n") > 1):
    pass
telemetry.stop()
print(path.read_text().splitlines()[0])
"""


@pytest.mark.parametrize(
    ("mode", "values"),
    [
        (
            "healthy",
            {
                "power_w": 28.4,
                "temperature_c": 31,
                "memory_temperature_c": 30,
                "sm_clock_mhz": 210,
                "memory_clock_mhz": 1215,
                "throttle_reasons": 1,
                "memory_used_mib": 511,
                "utilization_percent": 0,
                "memory_utilization_percent": 0,
                "pcie_generation": 4,
                "pcie_width": 16,
                "pcie_replays": 0,
                "ecc_corrected": 0,
                "ecc_uncorrected": 0,
            },
        ),
        ("throttling", {"throttle_reasons": 0x48, "sm_clock_mhz": 435, "temperature_c": 93}),
        ("ecc_errors", {"ecc_corrected": 12, "ecc_uncorrected": 3}),
        ("ecc_off", {"ecc_corrected": None, "ecc_uncorrected": None}),
        ("mig_on", {"utilization_percent": None}),
        ("other_process", {"memory_used_mib": 8703, "utilization_percent": 97}),
    ],
)
def test_the_agents_telemetry(
    host: Host, mode: str, values: dict[str, object], tmp_path: Path
) -> None:
    host.set(gpus.MODES[mode](a30()))
    sample = host.python(TELEMETRY.format(path=str(tmp_path / "telemetry.jsonl")))["gpus"][0]
    assert {key: sample[key] for key in values} == values
    assert None not in (sample["power_w"], sample["energy_mj"])


def test_the_agents_run_counts_the_energy_of_its_phases(host: Host, tmp_path: Path) -> None:
    """An A30 that draws 28.4 W all the time: of a long phase the joules, of a short one why not."""
    host.set(a30(count=2))
    values = {
        "profile": "null-engine",
        "model": {"source": "tiny"},
        "dataset": {"source": "synthetic"},
        "length": {"samples": 64, "server_queries": 500},
        "server_target_qps": 40,
        "modes": ["performance"],
    }
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    done = host.run(
        Path(sys.executable).parent / "loadfleet-agent",
        "run", "--home", str(tmp_path / "home"), "--settings", str(tmp_path / "settings.yaml"),
        "--run-id", "energy", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = HostResult.model_validate_json(done.stdout)
    assert result.engine is not None
    assert result.engine.gpus == ()  # the null engine computes nothing
    offline, server = result.energy
    assert [offline.phase, server.phase] == ["offline-performance", "server-performance"]
    assert all(gpu.joules is None and "too few" in gpu.reason for gpu in offline.gpus)
    length = (result.phases[1].ended_utc - result.phases[1].started_utc).total_seconds()
    assert [gpu.gpu for gpu in server.gpus] == [0, 1]
    for gpu in server.gpus:
        assert gpu.reason == ""
        assert gpu.joules == pytest.approx(28.4 * length, rel=0.02)
        assert gpu.mean_power_w == pytest.approx(28.4, rel=0.02)


NVML = """
import json, pynvml
pynvml.nvmlInit()
device = pynvml.nvmlDeviceGetHandleByUUID({uuid!r})
memory = pynvml.nvmlDeviceGetMemoryInfo(device, version=pynvml.nvmlMemory_v2)
try:
    pynvml.nvmlDeviceGetHandleByIndex(1)
except pynvml.NVMLError as error:
    missing = str(error)
print(json.dumps([
    pynvml.nvmlDeviceGetIndex(device),
    [memory.total >> 20, memory.reserved >> 20, memory.used >> 20, memory.free >> 20],
    [[p.pid, p.usedGpuMemory >> 20] for p in pynvml.nvmlDeviceGetComputeRunningProcesses(device)],
    pynvml.nvmlDeviceGetPowerManagementLimitConstraints(device),
    pynvml.nvmlDeviceGetEnforcedPowerLimit(device),
    pynvml.nvmlDeviceGetTemperatureV(device, pynvml.NVML_TEMPERATURE_GPU),
    pynvml.nvmlSystemGetNVMLVersion(),
    missing,
]))
"""


def test_structures_are_those_of_the_python_binding(host: Host) -> None:
    host.set(gpus.other_process(a30()))
    assert host.python(NVML.format(uuid=host.gpu["uuid"])) == [
        0,
        [24576, 511, 8192, 15873],
        [[4242, 8192]],
        [100000, 165000],
        165000,
        31,
        "13.580.105.08",
        "Invalid Argument",
    ]


# nvidia-ctk


def test_a_cdi_specification_puts_the_stand_in_into_a_container(host: Host) -> None:
    host.set(a30(count=2))
    output = host.root / "nvidia.yaml"
    assert host.run("nvidia-ctk", "cdi", "generate", f"--output={output}").returncode == 0
    specification = yaml.safe_load(output.read_text())
    assert specification["kind"] == "nvidia.com/gpu"
    uuids = [gpu["uuid"] for gpu in gpus.read(host.root)["gpus"]]
    names = [device["name"] for device in specification["devices"]]
    assert names == ["0", uuids[0], "1", uuids[1], "all"]
    mounts = specification["containerEdits"]["mounts"]
    assert all("ro" in mount["options"] for mount in mounts)
    assert [mount["containerPath"] for mount in mounts] == [
        "/usr/bin/nvidia-smi",
        "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1",
        "/usr/lib/x86_64-linux-gnu/libcjson.so.1",
        "/etc/nvidia-standin",
        "/run/nvidia-standin",
    ]
    visible = {
        device["name"]: dict(variable.split("=") for variable in device["containerEdits"]["env"])
        for device in specification["devices"]
    }
    assert host.smi("-L", **visible["1"]).stdout == f"GPU 0: NVIDIA A30 (UUID: {uuids[1]})\n"
    assert host.smi("-L", **visible["0"], **visible["1"]).stdout.count("GPU-") == 2
    assert host.smi("-L", **visible["all"]).stdout.count("GPU-") == 2


def test_cdi_devices_are_listed(host: Host) -> None:
    (host.root / "var/run/cdi").mkdir(parents=True)
    output = host.root / "var/run/cdi/nvidia.yaml"
    host.run("nvidia-ctk", "cdi", "generate", NVIDIA_CTK_CDI_OUTPUT_FILE_PATH=str(output))
    assert host.run("nvidia-ctk", "cdi", "list").stdout.splitlines() == [
        "nvidia.com/gpu=0",
        f"nvidia.com/gpu={host.gpu['uuid']}",
        "nvidia.com/gpu=all",
    ]
    assert host.run("nvidia-ctk", "--version").stdout.startswith(
        "NVIDIA Container Toolkit CLI version 1.20.0\n"
    )


def test_no_cdi_specification_without_a_driver(host: Host) -> None:
    (host.root / gpus.LOADED).unlink()
    output = host.root / "nvidia.yaml"
    done = host.run("nvidia-ctk", "cdi", "generate", f"--output={output}")
    assert done.returncode == 1
    assert "failed to initialize NVML: Driver Not Loaded" in done.stderr
    assert not output.exists()


# Packages


@pytest.fixture(scope="session")
def debs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every package of NVIDIA's, by ``name=version``."""
    built = packages.build_nvidia(tmp_path_factory.mktemp("debs"))
    return {f"{_field(deb, 'Package')}={_field(deb, 'Version')}": deb for deb in built}


def _dpkg(*arguments: str | Path) -> str:
    return subprocess.run(
        ["dpkg-deb", *arguments], capture_output=True, text=True, check=True
    ).stdout


def _field(deb: Path, name: str) -> str:
    return _dpkg("--field", deb, name).strip()


def test_every_package_says_that_it_is_a_stand_in(debs: dict[str, Path]) -> None:
    driver = ("libnvidia-ml1", "nvidia-driver-cuda", "nvidia-kernel-open-dkms")
    toolkit = ("nvidia-container-toolkit", "nvidia-container-toolkit-base")
    container = ("libnvidia-container1", "libnvidia-container-tools")
    assert set(debs) == {
        *(f"{n}={v}-1" for n in (*driver, "nvidia-persistenced") for v in packages.DRIVERS),
        *(f"{n}=1.20.0-1" for n in (*toolkit, *container)),
        "nvidia-driver-pinning-580=580-5",
    }
    for deb in debs.values():
        assert "(stand-in for tests)" in _field(deb, "Description")


def test_the_driver_is_where_the_real_one_is(debs: dict[str, Path]) -> None:
    def listing(name: str) -> str:
        return _dpkg("--contents", debs[f"{name}={DRIVER}-1"])

    library = "libnvidia-ml.so.1 -> libnvidia-ml.so.580.105.08\n"
    assert f"/usr/lib/x86_64-linux-gnu/{library}" in listing("libnvidia-ml1")
    assert re.search(r"^-rwxr-xr-x root/root .*/usr/bin/nvidia-smi$", listing("nvidia-driver-cuda"),
                     re.MULTILINE)  # fmt: skip
    unit = "/usr/lib/systemd/system/nvidia-persistenced.service"
    assert re.search(rf"^-rw-r--r-- .*{unit}$", listing("nvidia-persistenced"), re.MULTILINE)
    smi = debs[f"nvidia-driver-cuda={DRIVER}-1"]
    assert _field(smi, "Depends").startswith(f"libnvidia-ml1 (= {DRIVER}-1), ")


def test_programs_ask_for_debians_json_library_and_no_new_glibc(
    debs: dict[str, Path], tmp_path: Path
) -> None:
    programs = []
    for deb in debs.values():
        _dpkg("--extract", deb, tree := tmp_path / deb.name)
        found = [
            path
            for path in tree.rglob("*")
            if path.is_file() and not path.is_symlink() and path.read_bytes()[:4] == b"\x7fELF"
        ]
        if found:
            assert "libcjson1" in _field(deb, "Depends")
        programs += found
    assert len(programs) == 3 * 4 + 1
    for program in programs:
        needs = subprocess.run(
            ["readelf", "--dynamic", "--version-info", program],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        assert "[libcjson.so.1]" in needs
        versions = [tuple(map(int, v.split("."))) for v in re.findall(r"GLIBC_([\d.]+)", needs)]
        assert max(versions) <= (2, 34), program


@pytest.fixture(scope="session")
def docker_debs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return docker.build_docker(tmp_path_factory.mktemp("docker"))


def test_dockers_packages_hold_debians_docker(docker_debs: list[Path], tmp_path: Path) -> None:
    newest = {_field(deb, "Package"): deb for deb in docker_debs}
    assert {name: _field(deb, "Version") for name, deb in newest.items()} == {
        "docker-ce": "5:29.8.2-1~debian.13~trixie",
        "docker-ce-cli": "5:29.8.2-1~debian.13~trixie",
        "containerd.io": "2.3.6-1~debian.13~trixie",
        "docker-buildx-plugin": "0.35.0-1~debian.13~trixie",
    }
    depends = ", ".join(_field(deb, "Depends") for deb in newest.values())
    assert not re.search(r"\b(docker\.io|docker-cli|containerd|runc|docker-buildx)( |,|$)", depends)
    assert _field(newest["docker-ce"], "Conflicts") == "docker.io"
    for deb in newest.values():
        assert "(stand-in for tests)\n Holds Debian's " in _field(deb, "Description")
        _dpkg("--extract", deb, tmp_path)
    programs = ["usr/sbin/dockerd", "usr/bin/docker", "usr/bin/containerd", "usr/sbin/runc"]
    for program in [*programs, "usr/libexec/docker/cli-plugins/docker-buildx"]:
        assert (tmp_path / program).stat().st_size > 1_000_000, program
    unit = (tmp_path / "usr/lib/systemd/system/docker.service").read_text()
    assert "ExecStart=/usr/sbin/dockerd" in unit


@pytest.mark.parametrize("script", ["postinst", "prerm", "postrm"])
def test_maintainer_scripts_are_valid_shell(debs: dict[str, Path], script: str) -> None:
    found = [
        text
        for deb in debs.values()
        if script in _dpkg("--info", deb) and (text := _dpkg("--info", deb, script))
    ]
    assert found
    for text in found:
        subprocess.run(["sh", "-n"], input=text, text=True, check=True)


# The repository, by apt itself


class Apt:
    """apt with a root of its own, that trusts one key for one source."""

    def __init__(self, root: Path, source: str, key: str) -> None:
        self._root = root
        for path in ("etc/apt/preferences.d", "var/lib/apt/lists/partial", "var/lib/dpkg",
                     "var/cache/apt/archives/partial"):  # fmt: skip
            (root / path).mkdir(parents=True)
        (root / "key.asc").write_text(key)
        (root / "etc/apt/sources.list").write_text(
            f"deb [arch=amd64 signed-by={root / 'key.asc'}] {source}\n"
        )
        installed = "".join(
            f"Package: {name}\nStatus: install ok installed\nVersion: 99\nArchitecture: amd64\n"
            f"Maintainer: nobody\nDescription: none\n\n"
            for name in ("libc6", "libcjson1", "passwd")
        )
        (root / "var/lib/dpkg/status").write_text(installed)

    def run(self, tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        settings = {
            "Dir": self._root,
            "Dir::State::status": self._root / "var/lib/dpkg/status",
            "APT::Architecture": "amd64",
            "APT::Sandbox::User": "",
            "Acquire::Languages": "none",
            "Acquire::http::Proxy": "DIRECT",
        }
        options = [f"-o{key}={value}" for key, value in settings.items()]
        return subprocess.run(
            [tool, *options, *arguments], env=os.environ | {"LC_ALL": "C"}, cwd=self._root,
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    def update(self) -> None:
        done = self.run("apt-get", "update")
        assert done.returncode == 0, done.stderr
        assert "W:" not in done.stderr

    def candidate(self, package: str) -> str:
        policy = self.run("apt-cache", "policy", package).stdout
        return policy.partition("Candidate: ")[2].partition("\n")[0]

    def would_install(self, *names: str) -> dict[str, str]:
        """Versions by package that an installation would bring."""
        done = self.run("apt-get", "install", "--simulate", *names)
        assert done.returncode == 0, done.stdout + done.stderr
        return dict(re.findall(r"^Inst (\S+) \((\S+) ", done.stdout, re.MULTILINE))

    def prefer(self, preferences: str) -> None:
        (self._root / "etc/apt/preferences.d/test").write_text(preferences)


def _docker_ce(tmp_path_factory: pytest.TempPathFactory, upstream: str) -> Path:
    """An empty package of that name, where only the index is looked at."""
    version = docker.version("docker-ce", upstream, "trixie")
    package = Package(name="docker-ce", version=version, summary="Docker")
    return build(package, tmp_path_factory.mktemp("docker-ce"))


@pytest.fixture(scope="session")
def repository(
    debs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[AptRepository, str]]:
    """The repository and its URL."""
    with AptRepository(tmp_path_factory.mktemp("repository")) as built:
        built.add_flat("cuda/debian13/x86_64", debs.values())
        docker_ce = [_docker_ce(tmp_path_factory, v) for v in (docker.OLD_DOCKER, docker.DOCKER)]
        built.add_suite("linux/debian", "trixie", "stable", docker_ce)
        built.publish_key("linux/debian/gpg")
        with built.serve() as url:
            yield built, url


@pytest.fixture
def apt(repository: tuple[AptRepository, str], tmp_path: Path) -> Apt:
    built, url = repository
    apt = Apt(tmp_path / "apt", f"{url}/cuda/debian13/x86_64 ./", built.public_key)
    apt.update()
    return apt


PACKAGES = ("nvidia-driver-cuda", "nvidia-kernel-open-dkms", "nvidia-persistenced")


def test_apt_takes_the_newest_branch_without_a_pin(apt: Apt) -> None:
    assert set(apt.would_install(*PACKAGES).values()) == {"590.48.01-1"}


def test_the_pin_keeps_apt_on_its_branch(apt: Apt, debs: dict[str, Path], tmp_path: Path) -> None:
    _dpkg("--extract", debs["nvidia-driver-pinning-580=580-5"], tmp_path / "pin")
    pin = tmp_path / "pin/etc/apt/preferences.d/nvidia-driver-pinning-580"
    apt.prefer(pin.read_text())
    assert apt.would_install(*PACKAGES) == dict.fromkeys(
        (*PACKAGES, "libnvidia-ml1"), "580.105.08-1"
    )
    assert apt.candidate("nvidia-container-toolkit") == "1.20.0-1"


def test_the_toolkit_comes_whole(apt: Apt) -> None:
    assert set(apt.would_install("nvidia-container-toolkit")) == {
        "nvidia-container-toolkit",
        "nvidia-container-toolkit-base",
        "libnvidia-container-tools",
        "libnvidia-container1",
    }


def test_a_suite_with_components_is_read_too(
    repository: tuple[AptRepository, str], tmp_path: Path
) -> None:
    built, url = repository
    apt = Apt(tmp_path / "apt", f"{url}/linux/debian trixie stable", built.public_key)
    apt.update()
    assert apt.candidate("docker-ce") == "5:29.8.2-1~debian.13~trixie"
    versions = apt.run("apt-cache", "madison", "docker-ce").stdout
    assert "5:29.7.2-1~debian.13~trixie" in versions


@pytest.mark.parametrize("source", ["cuda/debian13/x86_64 ./", "linux/debian trixie stable"])
def test_another_key_is_refused(
    repository: tuple[AptRepository, str], source: str, tmp_path: Path
) -> None:
    with AptRepository(tmp_path / "other", owner="somebody else") as other:
        assert other.fingerprint != repository[0].fingerprint
        apt = Apt(tmp_path / "apt", f"{repository[1]}/{source}", other.public_key)
        done = apt.run("apt-get", "update")
    assert done.returncode == 100
    assert "is not signed" in done.stderr
    assert apt.candidate("docker-ce") == apt.candidate("nvidia-driver-cuda") == ""


def test_a_changed_package_is_refused(debs: dict[str, Path], tmp_path: Path) -> None:
    with AptRepository(tmp_path / "repository") as built, built.serve() as url:
        deb = debs[f"nvidia-driver-cuda={DRIVER}-1"]
        built.add_flat("flat", [deb])
        apt = Apt(tmp_path / "apt", f"{url}/flat ./", built.public_key)
        apt.update()
        assert apt.run("apt-get", "download", "nvidia-driver-cuda").returncode == 0
        (tmp_path / "apt" / deb.name).unlink()
        served = built.folder / "flat" / deb.name
        served.write_bytes(bytes(reversed(served.read_bytes())))
        done = apt.run("apt-get", "download", "nvidia-driver-cuda")
    assert done.returncode == 100
    assert "Hash Sum mismatch" in done.stderr


def test_a_package_that_is_published_later_is_an_upgrade(
    debs: dict[str, Path], tmp_path: Path
) -> None:
    with AptRepository(tmp_path / "repository") as built, built.serve() as url:
        apt = Apt(tmp_path / "apt", f"{url}/flat ./", built.public_key)
        for version in (packages.OLD_DRIVER, DRIVER):
            built.add_flat("flat", [debs[f"libnvidia-ml1={version}-1"]])
            apt.update()
            assert apt.candidate("libnvidia-ml1") == f"{version}-1"


def test_the_key_is_served_with_its_fingerprint(repository: tuple[AptRepository, str]) -> None:
    built, url = repository
    with urllib.request.urlopen(f"{url}/linux/debian/gpg") as answer:
        key = answer.read()
    shown = subprocess.run(
        ["gpg", "--batch", "--with-colons", "--show-keys"],
        input=key, capture_output=True, check=True,
    ).stdout.decode()  # fmt: skip
    assert f"fpr:::::::::{built.fingerprint}:" in shown
    with urllib.request.urlopen(f"{url}/cuda/debian13/x86_64/Packages.gz") as answer:
        assert b"Package: nvidia-driver-cuda\n" in gzip.decompress(answer.read())
