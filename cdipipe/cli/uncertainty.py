"""``cdipipe uncertainty``: error bars of amplitude and phase for every pixel of a result."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cdipipe.errors import InputError


def command(
    results: Annotated[
        list[Path],
        typer.Argument(help="result of one pattern or volume, .cxi; or several of one measurement", show_default=False),
    ],
    measurement: Annotated[Path, typer.Option(help="what it was reconstructed from, .cxi")],
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", help="error bars to write, .cxi; of several results a folder, for NAME/uncertainty.cxi"
        ),
    ],
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
    places = _places(results, output)
    for result, place in zip(results, places, strict=True):
        if len(places) > 1:
            place.parent.mkdir(parents=True, exist_ok=True)
        check_output(place)
        if any(path.exists() and place.exists() and path.samefile(place) for path in (result, measurement)):
            raise InputError(f"{place}: the output would replace an input; give it another name")

    from cdipipe.cli.imports import quick_imports

    with quick_imports():
        import cdipipe.uncertainty.estimate  # noqa: F401
        from cdipipe.io.cxi import read_measurement

    counts = read_measurement(measurement)
    for result, place in zip(results, places, strict=True):
        _estimate(result, measurement, counts, choices, place)


def _places(results: list[Path], output: Path) -> list[Path]:
    """The file that the error bars of each result go to."""
    from cdipipe.cli.labels import labels_of

    if len(results) == 1:
        return [output]
    if output.suffix == ".cxi":
        raise InputError(f"-o {output}: error bars of one result; for {len(results)} give a folder")
    return [output / label / "uncertainty.cxi" for label in labels_of(results)]


def _estimate(path: Path, measurement: Path, counts, choices, output: Path) -> None:
    from dataclasses import replace

    from cdipipe.io.cxi import read_reconstruction
    from cdipipe.provenance import collect
    from cdipipe.uncertainty.estimate import estimate
    from cdipipe.uncertainty.files import write_uncertainty

    result = read_reconstruction(path)
    found = estimate(result, counts, choices)
    write_uncertainty(output, replace(found, provenance=collect([path, measurement])))
    print(f"{output}: " + ", ".join(f"median {name} {value:.3g}" for name, value in found.medians().items()))
    if unlike := _unlike_calibration(result, found.freedom):
        print(f"note: intervals were not calibrated with {unlike}; see the guide's error bars")


def _unlike_calibration(result, freedom: str) -> str | None:
    """What a result has that none of the simulated objects had from which the intervals come."""
    from cdipipe.uncertainty.error_model import NETWORKS, REFINED, kind_of

    constraint = result.recipe.get("constraint", "support")
    learned = [pair for step in result.recipe.get("steps", []) for pair in step.items() if "checkpoint" in pair[1]]
    own = [name for name, parameters in learned if parameters["checkpoint"] is not None]
    if freedom == "phase":
        return "probe modes and may be far too narrow"
    if constraint != "support":
        return f"constraint {constraint}"
    if learned and kind_of(result.recipe, result.object.ndim) not in NETWORKS:
        return f"{learned[0][0]}"
    for steps in {parameters.get("refine") or 0 for _, parameters in learned} - {0, REFINED}:
        return f"refine={steps}"
    return f"weights of your own for {own[0]}" if own else None
