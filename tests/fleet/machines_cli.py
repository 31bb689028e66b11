"""The command line of a fleet of test machines: README.md has examples."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from base_tree import install_tools
from controller import CommandFailed, FleetError
from machines import DEFAULT_NETWORK, DEFAULT_STATE, Machine, Machines

app = typer.Typer(
    help="A fleet of test machines on this one.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
Name = Annotated[str, typer.Argument(help="A machine, as status lists them.")]

EXAMPLES = """Examples:

\b
machines_cli.py up 3 --suite trixie         m1 to m3 on Debian 13
machines_cli.py exec m2 journalctl -u ssh   as root, also while it is cut off
machines_cli.py delay m1 40                 a round trip takes 80 ms longer
machines_cli.py down                        stop and remove everything but the base trees
"""


@app.callback(epilog=EXAMPLES)
def choose_fleet(
    context: typer.Context,
    state: Annotated[Path, typer.Option(help="The fleet's folder.")] = DEFAULT_STATE,
    network: Annotated[str, typer.Option(help="10.X.Y: its /24.")] = DEFAULT_NETWORK,
    bases: Annotated[Path | None, typer.Option(help="Folder of base trees, if not STATE.")] = None,
) -> None:
    context.obj = Machines(state, network, bases)


@app.command("install-tools")
def install_tools_command() -> None:
    """Install what this machine lacks with apt (up and prepare do, too)."""
    install_tools()


@app.command()
def prepare(context: typer.Context, suites: Annotated[list[str], typer.Argument()]) -> None:
    """Make the base trees of Debian releases."""
    with ThreadPoolExecutor(len(suites)) as pool:
        for tree in pool.map(context.obj.prepare, suites):
            print(tree)


@app.command(
    epilog="Example: machines_cli.py up 2 --suite trixie --bind /tmp/pci:/sys/bus/pci/devices"
)
def up(
    context: typer.Context,
    count: Annotated[int, typer.Argument(min=1, max=244, help="How many: m1, m2, ...")],
    suite: Annotated[str, typer.Option(help="The Debian release.")] = "bookworm",
    bind: Annotated[list[str] | None, typer.Option(help="SOURCE:PATH, in every machine.")] = None,
    package: Annotated[list[str] | None, typer.Option(help="One more in the base tree.")] = None,
) -> None:
    """Start machines, and write an inventory of them."""
    names = [f"m{number}" for number in range(1, count + 1)]
    pairs = [text.partition(":") for text in bind or ()]
    binds = {at: Path(source) for source, _, at in pairs}
    context.obj.up(
        dict.fromkeys(names, suite), binds=dict.fromkeys(names, binds), extra_packages=package or ()
    )
    print(context.obj.write_inventory(context.obj.state / "inventory.yml"))


@app.command()
def status(context: typer.Context) -> None:
    """Show the machines and how they are."""
    for machine in context.obj.machines.values():
        facts = "off"
        if machine.is_running():
            systemd = "booting"
            with suppress(FleetError):
                asked = machine.run("systemctl", "is-system-running", check=False)
                systemd = asked.stdout.strip()
            link = Path("/sys/class/net", machine.link, "operstate").read_text().strip()
            processes = machine.cgroup.processes()
            memory = f"{sum(map(memory_mib, processes)):.0f} MiB"
            facts = f"{systemd}, link {link}, {len(processes)} processes, {memory}"
        print(f"{machine.name:8} {machine.address:15} {machine.suite:10} {facts}")


def memory_mib(pid: int) -> float:
    """A process's share of memory, in MiB; 0 if it has ended."""
    with suppress(OSError):
        if found := re.search(
            r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M
        ):
            return int(found[1]) / 1024
    return 0.0


PASSED_ON = {"ignore_unknown_options": True, "allow_interspersed_args": False}


@app.command("exec", context_settings=PASSED_ON)
def execute(context: typer.Context, name: Name, command: list[str]) -> NoReturn:
    """Run a command as root, also in a machine that is cut off."""
    line = context.obj.machine(name).command(*command)
    os.execvp(line[0], line)


@app.command(context_settings=PASSED_ON)
def ssh(
    context: typer.Context,
    name: Name,
    command: Annotated[list[str] | None, typer.Argument()] = None,
) -> NoReturn:
    """Log in as ops, or run a command so."""
    line = context.obj.machine(name).ssh_command(*(command or ()))
    os.execvp(line[0], line)


def add_command(name: str, action: Callable[[Machine], None]) -> None:
    @app.command(name, help=action.__doc__)
    def run(context: typer.Context, machine: Name) -> None:
        action(context.obj.machine(machine))


for _name, _action in {
    "cut": Machine.cut,
    "heal": Machine.heal,
    "clear": Machine.clear,
    "start": Machine.start,
    "reboot": Machine.reboot,
    "crash": Machine.crash,
    "poweroff": Machine.power_off,
}.items():
    add_command(_name, _action)


@app.command(help=Machine.rate.__doc__)
def rate(context: typer.Context, name: Name, kbit: float) -> None:
    context.obj.machine(name).rate(kbit)


@app.command(help=Machine.loss.__doc__)
def loss(context: typer.Context, name: Name, percent: float) -> None:
    context.obj.machine(name).loss(percent)


@app.command(help=Machine.delay.__doc__)
def delay(context: typer.Context, name: Name, ms: float) -> None:
    context.obj.machine(name).delay(ms)


@app.command(epilog="Example: machines_cli.py disk m1 /var/lib/loadfleet 2M")
def disk(context: typer.Context, name: Name, path: str, size: str) -> None:
    """Put a small empty disk over a folder of a machine."""
    context.obj.machine(name).disk(path, size)


@app.command()
def undisk(context: typer.Context, name: Name, path: str) -> None:
    """Take it away again."""
    context.obj.machine(name).undisk(path)


@app.command()
def down(context: typer.Context) -> None:
    """Stop and remove everything but the base trees."""
    context.obj.down()


def main() -> None:
    try:
        app(prog_name="machines_cli.py")
    except (FleetError, CommandFailed, subprocess.TimeoutExpired) as error:
        sys.exit(f"machines_cli.py: {error}")


if __name__ == "__main__":
    main()
