"""``cdipipe simulate``: a scene in; a measurement and its truth out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cdipipe.errors import InputError


def command(
    scene: Annotated[str, typer.Argument(help="see `cdipipe scenes`")],
    output: Annotated[Path, typer.Option("-o", "--output", help="measurement to write, .cxi")],
    truth: Annotated[Path | None, typer.Option(help="true object to write, .cxi; only `evaluate` reads it")] = None,
    seed: Annotated[int, typer.Option(min=0, help="sample i depends on the parameters, the seed and i")] = 0,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, repeated; see `cdipipe scenes NAME`")
    ] = None,
) -> None:
    """Simulate a measurement: draw the object, scale it to photons, transform, count."""
    from cdipipe.settings import parse_settings, validate
    from cdipipe.simulation.registry import get_scene

    found = get_scene(scene)
    parameters = validate(found.parameters, parse_settings(settings or []), found.name)
    if truth is not None and output.resolve() == truth.resolve():
        raise InputError(f"{truth}: measurement and truth need two files; give --truth another name")

    from dataclasses import replace

    from cdipipe.io.atomic import check_output
    from cdipipe.progress import progress
    from cdipipe.provenance import collect
    from cdipipe.simulation.exposure import simulate

    for path in filter(None, (output, truth)):
        check_output(path)
    measurement, true_object = simulate(found, parameters, seed, lambda items: progress(items, f"simulate {scene}"))
    provenance = {**measurement.provenance, **collect(parameters.all_files())}
    _write(output, truth, replace(measurement, provenance=provenance), replace(true_object, provenance=provenance))
    photons = measurement.intensity.sum(dtype=float) / measurement.pattern_count
    print(f"{output}: {scene}, {measurement.stack} {measurement.intensity.shape}, {photons:.6g} photons per pattern")


def _write(output: Path, truth: Path | None, measurement, true_object) -> None:
    """Both files or none."""
    from cdipipe.io.atomic import atomic_path
    from cdipipe.io.cxi import write_measurement, write_truth

    with atomic_path(output) as part:
        write_measurement(part, measurement)
        if truth is not None:
            write_truth(truth, true_object)
