"""loadfleet report: the report of a run or a study, made anew."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from ..text.terminal import printable
from .exit import refuse

app = typer.Typer()


@app.command(epilog="Example: loadfleet report results/latest --price-per-kwh 0.3")
def report(
    folder: Annotated[Path, typer.Argument(help="Folder of a run or a study under results/.")],
    price_per_gpu_hour: Annotated[
        float | None,
        typer.Option(help="Of one GPU, in any currency. Default: as the run's settings had it."),
    ] = None,
    price_per_kwh: Annotated[
        float | None, typer.Option(help="Of electricity, in the same currency.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print report.json.")] = False,
) -> None:
    """Make the report of a run or a study anew from its collected files; needs no host.

    With a price it says what a million output tokens cost on each host's GPUs.

    Exit code 0: every selected host is valid; 1: some is not.
    """
    from ..fleet.prices import Prices
    from ..fleet.settings import InventoryError
    from ..report.build import build_report
    from ..report.render import write_reports
    from ..scaling.record import is_study

    for name, price in (("gpu-hour", price_per_gpu_hour), ("kwh", price_per_kwh)):
        if price is not None and not 0 <= price < math.inf:
            refuse(f"--price-per-{name} {price}: must be 0 or more")
    prices = Prices(per_gpu_hour=price_per_gpu_hour, per_kwh=price_per_kwh)
    if is_study(folder):
        if prices.given:
            refuse("a study has no cost: give a price with the folder of one of its runs")
        _report_study(folder, json_)
    try:
        built = build_report(folder.resolve(), prices)
        write_reports(built, folder.resolve())
    except (InventoryError, OSError) as error:
        refuse(str(error))
    if json_:
        print(built.model_dump_json(indent=2))
    else:
        print(printable(built.headline))
        for host in built.hosts:
            print(f"  {printable(host.name)}: {printable(host.verdict)}")
        print(folder / "report.html")
    raise typer.Exit(0 if built.all_ok else 1)


def _report_study(folder: Path, json_: bool) -> NoReturn:
    from ..fleet.settings import InventoryError
    from ..scaling.render import write_study
    from ..scaling.study import build_study

    try:
        built = build_study(folder.resolve())
        write_study(built, folder.resolve())
    except (InventoryError, OSError) as error:
        refuse(str(error))
    if json_:
        print(built.model_dump_json(indent=2))
    else:
        print(printable(built.headline))
        for line in built.missing:
            print(f"  does not count: {printable(line)}")
        print(folder / "report.html")
    raise typer.Exit(0 if built.all_ok else 1)
