"""``cdipipe multipeak``: one crystal from several of its reflections: displacement vectors and the strain tensor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cdipipe.errors import InputError


def command(
    measurements: Annotated[list[Path], typer.Argument(help="rocking curves of one crystal, two to five, .cxi")],
    output: Annotated[Path, typer.Option("-o", "--output", help="crystal to write, .cxi")],
    start: Annotated[
        list[Path] | None, typer.Option(help="reconstruction of each, in their order; default: they are phased here")
    ] = None,
    withhold: Annotated[
        int | None, typer.Option(help="reflection, counted from 1, that is kept to check how well it is predicted")
    ] = None,
    iterations: Annotated[int, typer.Option(min=0, help="steps of the joint fit; 0: separate phasing, combined")] = 150,
    smoothness: Annotated[float, typer.Option(min=0, help="weight of squared second differences, rad^2")] = 0.3,
    sequence: Annotated[str, typer.Option(help="how each is phased where no --start is given")] = (
        "3*(20*ER+180*HIO)+60*ER"
    ),
    restarts: Annotated[int, typer.Option(min=1, help="random starts of each, where no --start is given")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="of the random starts")] = 0,
) -> None:
    """Density, displacement and strain tensor of one crystal, fitted to several rocking curves together."""
    from cdipipe.io.atomic import check_output

    check_output(output)
    if not 2 <= len(measurements) <= 5:
        raise InputError(f"multipeak takes two to five rocking curves; got {len(measurements)}")
    if start and len(start) != len(measurements):
        raise InputError(f"--start: expected {len(measurements)}, one for each rocking curve; got {len(start)}")
    if withhold is not None and not 1 <= withhold <= len(measurements):
        raise InputError(f"--withhold {withhold}: expected 1 to {len(measurements)}")
    inputs = [*measurements, *(start or [])]
    if any(path.exists() and output.exists() and path.samefile(output) for path in inputs):
        raise InputError(f"{output}: the output would replace an input; give it another name")

    from cdipipe.bragg.files import write_crystal
    from cdipipe.bragg.multipeak import Settings, fit_crystal
    from cdipipe.io.cxi import read_measurement, read_reconstruction
    from cdipipe.provenance import collect

    curves = [read_measurement(path) for path in measurements]
    for path, curve in zip(measurements, curves, strict=True):
        if curve.stack != "volume":
            raise InputError(f"{path}: expected a rocking curve (a volume); this is {curve.stack}")
    if start:
        objects = [read_reconstruction(path).object for path in start]
    else:
        objects = [_phase(curve, sequence, restarts, seed) for curve in curves]
    kept = None if withhold is None else withhold - 1
    crystal = fit_crystal(curves, objects, Settings(iterations, smoothness=smoothness, withhold=kept))
    write_crystal(output, crystal, collect(inputs))
    print(_summary(output, measurements, crystal, kept))


def _phase(curve, sequence: str, restarts: int, seed: int):
    from cdipipe.phasing.recipe import recipe_from_mapping
    from cdipipe.phasing.reconstruct import reconstruct

    recipe = recipe_from_mapping({"sequence": sequence, "restarts": restarts}, "--sequence")
    return reconstruct(curve, recipe, seed=seed).object


def _summary(output: Path, measurements: list[Path], crystal, withheld: int | None) -> str:
    lines = [f"{output}: sample frame, voxels of {crystal.grid.voxel_nm:.3g} nm, {int(crystal.inside.sum())} inside"]
    for index, (path, r_factor) in enumerate(zip(measurements, crystal.r_factors, strict=True)):
        role = "withheld" if index == withheld else "" if index in crystal.started else "its own phases not used"
        lines.append(f"{path}: R-factor {r_factor:.4f}" + (f", {role}" if role else ""))
    rms = ", ".join(f"{name} {value * 1e4:.3g}" for name, value in crystal.numbers["rms_strain"].items())
    lines.append(f"rms strain (1e-4): {rms}")
    return "\n".join([*lines, *(f"note: {note}" for note in crystal.notes)])
