"""``cdipipe uncertainty``: error bars of amplitude and phase for every pixel of a result."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cdipipe.errors import InputError


def command(
    reconstruction: Annotated[Path, typer.Argument(help="result of one pattern or volume, .cxi")],
    measurement: Annotated[Path, typer.Option(help="what it was reconstructed from, .cxi")],
    output: Annotated[Path, typer.Option("-o", "--output", help="error bars to write, .cxi")],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="noise, iterations, restarts, restart_iterations or seed=value, repeated"),
    ] = None,
) -> None:
    """Error bars of amplitude and phase: from other starts, other draws of the counts, and simulated objects."""
    from cdipipe.io.atomic import check_output
    from cdipipe.settings import parse_settings, validate
    from cdipipe.uncertainty.choices import Choices

    choices = validate(Choices, parse_settings(settings or []), "uncertainty")
    check_output(output)
    if any(path.exists() and output.exists() and path.samefile(output) for path in (reconstruction, measurement)):
        raise InputError(f"{output}: the output would replace an input; give it another name")

    from dataclasses import replace

    from cdipipe.io.cxi import read_measurement, read_reconstruction
    from cdipipe.provenance import collect
    from cdipipe.uncertainty.estimate import estimate
    from cdipipe.uncertainty.files import write_uncertainty

    result = read_reconstruction(reconstruction)
    found = estimate(result, read_measurement(measurement), choices)
    write_uncertainty(output, replace(found, provenance=collect([reconstruction, measurement])))
    print(f"{output}: " + ", ".join(f"median {name} {value:.3g}" for name, value in found.medians().items()))
    constraint = result.recipe.get("constraint", "support")
    if found.freedom == "phase":
        print(
            "note: intervals were not calibrated with probe modes and may be far too narrow; see the guide's error bars"
        )
    elif constraint != "support":
        print(f"note: intervals were not calibrated with constraint {constraint}; see the guide's error bars")
