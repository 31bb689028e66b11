"""The command loadfleet-agent."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
import yaml
from pydantic import BaseModel, ValidationError

from . import __version__
from .contract.base import NAME_PATTERN, utc_now
from .contract.plan import RunPlan
from .contract.profile import describe_errors
from .contract.run_folder import AGENT_LOG
from .contract.settings import SettingsError, parse_settings, resolve_plan
from .contract.status import FailureCode, Status, make_failure
from .failure import RunFailure, explain_os_error

app = typer.Typer(
    name="loadfleet-agent",
    help="Runs the Llama-3.1-8B benchmark with vLLM under MLPerf LoadGen on this host.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

VALID, NOT_VALID, BAD_INPUT = 0, 1, 2

Home = Annotated[
    Path,
    typer.Option("--home", envvar="LOADFLEET_HOME", help="Data folder: runs, caches, locks."),
]
DEFAULT_HOME = Path("/var/lib/loadfleet")
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
PlanFile = Annotated[
    str | None, typer.Option("--plan", help="A resolved plan (JSON file), or - for stdin.")
]
SettingsFile = Annotated[
    Path | None, typer.Option("--settings", help="Settings as a YAML file; see docs/settings.md.")
]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", help="One setting, e.g. --set engine.max_num_seqs=64. Repeatable."),
]
RunId = Annotated[
    str | None, typer.Option("--run-id", help="Default: the run that was started last.")
]


@app.command(epilog="Example: loadfleet-agent inspect --json")
def inspect(json_: Json = False) -> None:
    """Show the hardware and software of this host, as a run records them."""
    from .host.facts import host_facts

    facts = host_facts()
    if json_:
        print(facts.model_dump_json(indent=2))
        return
    print(f"{facts.hostname}: {facts.operating_system}, kernel {facts.kernel}")
    print(f"{facts.cpu_model}, {facts.cpu_cores} cores, {facts.memory_mib / 1024:.0f} GiB")
    for gpu in facts.gpus:
        print(f"GPU {gpu.index}: {gpu.name}, {gpu.memory_mib / 1024:.0f} GiB, {gpu.uuid}")
    if not facts.gpus:
        print("no NVIDIA GPU")
    print(f"driver {facts.nvidia_driver or 'none'}, Python {facts.python}")
    print(", ".join(f"{name} {version}" for name, version in facts.packages.items()))


@app.command(epilog="Example: loadfleet-agent prepare --settings settings.yaml")
def prepare(
    plan: PlanFile = None,
    settings: SettingsFile = None,
    sets: Sets = None,
    home: Home = DEFAULT_HOME,
    json_: Json = False,
) -> None:
    """Put model, dataset and scoring data in place, so that a run needs no network."""
    resolved = _plan(plan, settings, sets, None)

    def work() -> None:
        from .run import prepare as prepare_run

        model, library, _ = prepare_run(resolved, home)
        if json_:
            _print_json({"model": model, "dataset": library.facts})
            return
        print(f"model: {model.name} in {model.path}")
        facts = library.facts
        print(
            f"dataset: {facts.samples} samples ({facts.label}), "
            f"{facts.input_tokens.mean:.0f} tokens on average, {facts.origin}"
        )

    _guarded(work, "prepare", json_)


@app.command(
    epilog="Example: loadfleet-agent download --repo meta-llama/Llama-3.1-8B-Instruct "
    "--revision 0e9e39f249a16976918f6564b8830bc894c89659 --token-file /etc/loadfleet/hf_token"
)
def download(
    repo: Annotated[str, typer.Option(help="Model repository, org/name.")],
    revision: Annotated[
        str, typer.Option(help="Commit, all 40 digits. For a branch the answer is its commit.")
    ],
    cache: Annotated[
        Path | None,
        typer.Option(help="Hugging Face hub cache to put it in. Default: cache/hub of --home."),
    ] = None,
    endpoint: Annotated[
        str, typer.Option(envvar="HF_ENDPOINT", help="The hub or a mirror of it.")
    ] = "https://huggingface.co",
    token_file: Annotated[
        Path | None,
        typer.Option(help="File that holds the token. Default: systemd's credential hf_token."),
    ] = None,
    from_folder: Annotated[
        Path | None,
        typer.Option(help="Take it from this hub cache, filled by download; ask no network."),
    ] = None,
    verify_only: Annotated[
        bool,
        typer.Option("--verify-only", help="Only see that it is in the cache; ask no network."),
    ] = False,
    rehash: Annotated[
        bool, typer.Option("--rehash", help="Hash all files again also if they are here.")
    ] = False,
    check_access: Annotated[
        bool, typer.Option("--check-access", help="Only ask whether the model may be read.")
    ] = False,
    home: Home = DEFAULT_HOME,
    json_: Json = False,
) -> None:
    """Put a model into the hub cache of this host, every byte verified.

    Broken off, it goes on where it was. A model that is here is not asked for again.
    """
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo):
        _refuse(f"--repo {repo}: write it as org/name")
    if (from_folder is not None) + verify_only + check_access > 1:
        _refuse("--from-folder, --verify-only and --check-access exclude each other")

    def work() -> None:
        def tell(line: str) -> None:
            print(line, file=sys.stderr, flush=True)

        target = (cache or home / "cache" / "hub").expanduser().absolute()
        source = target if verify_only else from_folder
        if source:
            from .model.transfer import copy_model

            found = copy_model(repo, revision, target, source, rehash=rehash, tell=tell)
        else:
            from .model import download as hub

            token = hub.read_token(token_file)
            if check_access:
                commit = hub.check_access(repo, revision, endpoint, token)
                if json_:
                    _print_json({"repo": repo, "revision": commit})
                else:
                    print(f"{repo} may be read: {revision} is {commit}")
                return
            found = hub.download_model(
                repo, revision, target, endpoint=endpoint, token=token, rehash=rehash, tell=tell
            )
        if json_:
            print(found.model_dump_json(indent=2))
        else:
            size = f"{found.files} files, {found.bytes / 1e9:.2f} GB"
            print(f"{found.how}: {found.repo} in {found.folder}: {size}, all verified")

    _guarded(work, "download", json_)


@app.command(
    epilog="Example: loadfleet-agent start --settings settings.yaml && loadfleet-agent wait"
)
def start(
    plan: PlanFile = None,
    settings: SettingsFile = None,
    sets: Sets = None,
    run_id: RunId = None,
    home: Home = DEFAULT_HOME,
    json_: Json = False,
) -> None:
    """Start a run that goes on without this terminal; attach if it runs already.

    The same id again: a run that was broken off goes on after its finished phases, a finished
    one is left as it is. Another id while a run is on is refused as busy.
    """
    resolved = _plan(plan, settings, sets, run_id)

    def work() -> None:
        from .runs import Runs

        runs = Runs(home)
        how = runs.start(resolved)
        folder = str(runs.folder(resolved.run_id))
        if json_:
            _print_json({"how": how, "run_id": resolved.run_id, "folder": folder})
        else:
            print(f"{how}: run {resolved.run_id} in {folder}")

    _guarded(work, "start", json_)


@app.command(
    epilog="Example: loadfleet-agent run --set profile=cpu-smoke --set model.source=tiny "
    "--set dataset.source=synthetic --set length.samples=64 --home /tmp/loadfleet"
)
def run(
    plan: PlanFile = None,
    settings: SettingsFile = None,
    sets: Sets = None,
    run_id: RunId = None,
    home: Home = DEFAULT_HOME,
    unit: Annotated[str | None, typer.Option(hidden=True)] = None,
    log: Annotated[bool, typer.Option("--log", hidden=True)] = False,
    json_: Json = False,
) -> None:
    """Run in the foreground, to the end. Exit code 0: the result is valid."""
    # Until the run itself listens: for process 1 of a container there is no default.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    resolved = _plan(plan, settings, sets, run_id)

    def work() -> None:
        from .runs import Runs

        if log:
            _log_to(Runs(home).folder(resolved.run_id) / AGENT_LOG)
        with _stdout_to_stderr() if json_ else contextlib.nullcontext():
            result = Runs(home).run(resolved, unit)
        if json_:
            print(result.model_dump_json(indent=2))
        else:
            _print_result(result)
        raise typer.Exit(VALID if result.valid else NOT_VALID)

    _guarded(work, "run", json_)


@app.command(epilog="Example: loadfleet-agent wait")
def wait(run_id: RunId = None, home: Home = DEFAULT_HOME, json_: Json = False) -> None:
    """Show a run's progress until it ends. Ending this command does not end the run."""

    def work() -> None:
        from .runs import Runs, read_result

        runs = Runs(home)
        wanted = _known_run(runs, run_id)
        show = _quiet if json_ else _every(10.0, lambda status: print(_line(status), flush=True))
        view = runs.wait(wanted, show)
        status = view.status
        if status is None or view.interrupted:
            phase = status.phase if status else "its start"
            _fail("wait", FailureCode.INTERRUPTED, f"the agent is gone, during {phase}", json_)
        result = read_result(view.folder)
        if json_:
            print(result.model_dump_json(indent=2))
        else:
            _print_result(result)
        raise typer.Exit(VALID if result.valid else NOT_VALID)

    _guarded(work, "wait", json_)


@app.command(epilog="Example: loadfleet-agent status --json")
def status(
    run_id: RunId = None,
    healthy: Annotated[
        bool, typer.Option("--healthy", help="Exit with 1 unless it runs and told so just now.")
    ] = False,
    home: Home = DEFAULT_HOME,
    json_: Json = False,
) -> None:
    """Show how far a run is."""

    def work() -> None:
        from .runs import Runs

        runs = Runs(home)
        view = runs.view(_known_run(runs, run_id))
        if json_:
            _print_json({"alive": view.alive, "status": view.status, "folder": str(view.folder)})
        elif view.status is None:
            print("no status yet")
        else:
            print(_line(view.status) + (" (the agent is gone)" if view.interrupted else ""))
        if healthy and not view.healthy:
            raise typer.Exit(NOT_VALID)

    _guarded(work, "status", json_)


@app.command(epilog="Example: loadfleet-agent stop")
def stop(run_id: RunId = None, home: Home = DEFAULT_HOME, json_: Json = False) -> None:
    """End a run in order: LoadGen flushed, engine stopped, a result written."""

    def work() -> None:
        from .runs import Runs

        runs = Runs(home)
        wanted = _known_run(runs, run_id)
        stopped = runs.stop(wanted)
        if json_:
            _print_json({"run_id": wanted, "stopped": stopped})
        else:
            print(f"run {wanted} {'stopped' if stopped else 'was not running'}")

    _guarded(work, "stop", json_)


@app.command(epilog="Example: loadfleet-agent pack --output run.tar.gz")
def pack(
    output: Annotated[Path, typer.Option(help="Archive to write (.tar.gz).")],
    run_id: RunId = None,
    accuracy_logs: Annotated[
        bool, typer.Option("--accuracy-logs", help="Include mlperf_log_accuracy.json.")
    ] = False,
    home: Home = DEFAULT_HOME,
    json_: Json = False,
) -> None:
    """Put a run's files into one archive, for the controller to fetch."""

    def work() -> None:
        from .pack import pack_run
        from .runs import Runs

        runs = Runs(home)
        wanted = _known_run(runs, run_id)
        size = pack_run(runs.folder(wanted), output, accuracy_logs=accuracy_logs)
        if json_:
            _print_json({"run_id": wanted, "archive": str(output), "size_bytes": size})
        else:
            print(f"{output}: {size / 1e6:.1f} MB")

    _guarded(work, "pack", json_)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"loadfleet-agent {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version_wanted: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    os.umask(0o022)  # a watcher reads status.json without becoming root


def main() -> None:
    """Entry point of the command."""
    app()


# Input.


def _plan(
    plan: str | None, settings: Path | None, sets: list[str] | None, run_id: str | None
) -> RunPlan:
    """The plan of the flags; ends the command with one line if they are wrong."""
    try:
        if plan is not None:
            if settings or sets or run_id:
                _refuse("--plan is whole by itself: leave --settings, --set and --run-id out")
            text = sys.stdin.read() if plan == "-" else Path(plan).read_text(encoding="utf-8")
            return RunPlan.model_validate_json(text)
        values: dict[str, Any] = {}
        if settings is not None:
            loaded = yaml.safe_load(settings.read_text(encoding="utf-8"))
            if not isinstance(loaded, dict):
                _refuse(f"{settings}: settings must be keys with values")
            values = loaded
        for item in sets or []:
            _set_key(values, item)
        new_id = run_id or f"{utc_now():%Y%m%dT%H%M%SZ}-run"
        return resolve_plan(parse_settings(values), run_id=new_id, host="localhost")
    except OSError as error:
        _refuse(f"{error.filename}: {error.strerror}")
    except UnicodeDecodeError:
        _refuse(f"{settings or plan}: not UTF-8 text")
    except yaml.YAMLError as error:
        _refuse(f"{settings}: not YAML: {str(error).splitlines()[0]}")
    except SettingsError as error:
        _refuse(f"{settings or '--set'}: {error.key}: {error.message}")
    except ValidationError as error:
        _refuse(f"{plan}: {describe_errors(error)}")


def _set_key(values: dict[str, Any], item: str) -> None:
    key, sign, text = item.partition("=")
    if not sign:
        _refuse(f"--set {item}: write it as key=value")
    *path, last = key.split(".")
    for part in path:
        values = values.setdefault(part, {})
        if not isinstance(values, dict):
            _refuse(f"--set {item}: {part} is not a group of keys")
    try:
        values[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        _refuse(f"--set {item}: not YAML: {str(error).splitlines()[0]}")


def _known_run(runs: Any, run_id: str | None) -> str:
    wanted: str | None = runs.latest() if run_id is None else run_id
    if wanted is None:
        _refuse(f"no run in {runs.home}")
    if not re.fullmatch(NAME_PATTERN, wanted) or not runs.folder(wanted).is_dir():
        _refuse(f"no run {wanted!r} in {runs.home}")
    return wanted


# Output.


def _log_to(path: Path) -> None:
    """All output to a file, that of native code and of child processes too."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)


@contextlib.contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """The log of a run, its processes' too, must not mix with a result in JSON."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def _refuse(message: str) -> NoReturn:
    print(f"loadfleet-agent: {message}", file=sys.stderr)
    raise typer.Exit(BAD_INPUT)


def _fail(command: str, code: FailureCode, message: str, json_: bool) -> NoReturn:
    failure = make_failure(code, command, message)
    if json_:
        _print_json({"failure": failure})
    else:
        print(f"loadfleet-agent: {message} [{code.value}]: {failure.hint}", file=sys.stderr)
    raise typer.Exit(NOT_VALID)


def _guarded(work: Callable[[], None], command: str, json_: bool) -> None:
    """Turns a failure into one line (or JSON) and an exit code."""
    try:
        work()
    except ImportError as error:
        _fail(command, FailureCode.PACKAGE_MISSING, str(error), json_)
    except OSError as error:
        code, message = explain_os_error(error, Path(command))
        _fail(command, code, message, json_)
    except RunFailure as error:
        _fail(command, error.code, error.message, json_)


def _print_json(values: dict[str, Any]) -> None:
    def plain(value: Any) -> Any:
        return value.model_dump(mode="json") if isinstance(value, BaseModel) else value

    print(json.dumps({key: plain(value) for key, value in values.items()}, indent=2))


def _print_result(result: Any) -> None:
    print(f"run {result.run_id}: {result.outcome}, {'valid' if result.valid else 'not valid'}")
    if result.labels:
        print(f"labels: {', '.join(result.labels)} (not MLPerf)")
    for phase in result.phases:
        speed = phase.loadgen.tokens_per_second
        text = f"{speed:,.1f} tokens/s" if speed else f"{phase.samples} samples"
        print(f"  {phase.name}: {text}" + "".join(f"\n    {finding}" for finding in phase.gate))
    for item in result.accuracy:
        verdict = {True: "passed", False: f"missed: {item.reason}", None: item.reason}[item.passed]
        print(f"  {item.scenario.value} ROUGE-1 {item.score.rouge1}: {verdict}")
    if result.failure:
        print(f"  {result.failure.phase}: {result.failure.message} [{result.failure.code.value}]")
        print(f"  {result.failure.hint}")


def _line(status: Status) -> str:
    text = f"{status.phase_index + 1}/{status.phase_count} {status.phase}"
    if status.total:
        text += f" {status.done}/{status.total} {status.unit}"
    if status.tokens_per_s:
        text += f", {status.tokens_per_s:,.0f} tokens/s"
    if status.eta_s is not None:
        text += f", {status.eta_s:.0f} s left"
    return f"{status.run_id}: {status.state.value}: {text} {status.message}".rstrip()


def _quiet(_: Status) -> None:
    return None


def _every(seconds: float, show: Callable[[Status], None]) -> Callable[[Status], None]:
    """Shows a status when its phase or state changes, else at most once in ``seconds``."""
    last: list[Any] = [None, 0.0]

    def tell(status: Status) -> None:
        key, now = (status.phase, status.state), time.monotonic()
        if key != last[0] or now - last[1] >= seconds:
            last[:] = [key, now]
            show(status)

    return tell
