"""``cdipipe strain``: from a phased rocking curve to displacement and strain in nanometres."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cdipipe.errors import InputError


def command(
    reconstruction: Annotated[Path, typer.Argument(help="volume phased from a rocking curve, .cxi")],
    output: Annotated[Path, typer.Option("-o", "--output", help="displacement and strain to write, .cxi")],
    surface: Annotated[float, typer.Option(help="share of the amplitude inside where the crystal ends")] = 0.5,
    lattice: Annotated[
        str | None, typer.Option(help="unstrained lattice: Au, Pt, ..., or a cubic parameter in nm")
    ] = None,
    hkl: Annotated[
        str | None, typer.Option(help="reflection, which names the facets; with --lattice not given: 1,1,1")
    ] = None,
    frame: Annotated[str, typer.Option(help="of the orthogonal grid: crystal (z along Q), sample or lab")] = "crystal",
    toward: Annotated[
        str | None, typer.Option(help="lab direction x,y,z near which the crystal frame's x lies; default the beam")
    ] = None,
    voxel_nm: Annotated[
        float | None, typer.Option(help="edge of the orthogonal grid's voxels; default that of a cube of equal volume")
    ] = None,
    twin: Annotated[bool, typer.Option("--twin", help="take the conjugated, inverted object")] = False,
    keep_ramp: Annotated[bool, typer.Option("--keep-ramp", help="leave the mean phase ramp")] = False,
    facets: Annotated[Path | None, typer.Option(help="table of the facets to write, .tsv")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the numbers as JSON")] = False,
) -> None:
    """Displacement and strain along Q of a phased Bragg peak, on its own grid and on an orthogonal one."""
    from dataclasses import replace

    from cdipipe.bragg.files import write_strain
    from cdipipe.bragg.reference import parse_reference
    from cdipipe.bragg.strain import Choices, analyse
    from cdipipe.io.atomic import check_output
    from cdipipe.io.cxi import read_reconstruction
    from cdipipe.optics.lattice import parse_hkl
    from cdipipe.provenance import collect

    check_output(output)
    if output.exists() and reconstruction.exists() and output.samefile(reconstruction):
        raise InputError(f"{output}: the output would replace its input; give it another name")
    if facets is not None:
        check_output(facets)
    reference = parse_reference(lattice, hkl or "1,1,1")
    own_hkl = None if hkl is None else parse_hkl(hkl)
    choices = Choices(surface, twin, keep_ramp, frame, voxel_nm, _direction(toward), reference, own_hkl)
    result = analyse(read_reconstruction(reconstruction), choices)
    write_strain(output, replace(result, provenance=collect([reconstruction])))
    if facets is not None:
        _write_facets(facets, result)
    print(_as_json(result) if as_json else summarise(output, result))


def _direction(text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        parts = tuple(float(part) for part in text.split(","))
    except ValueError:
        parts = ()
    if len(parts) != 3 or not any(parts):
        raise InputError(f"--toward {text}: expected a direction such as 0,0,1")
    return parts


def _write_facets(path: Path, result) -> None:
    """One line a facet; strain without unit, normal in the frame of the orthogonal grid."""
    from cdipipe.io.atomic import atomic_path

    numbers = ["off_deg", "area_nm2", "mean_strain", "std_strain", "mean_displacement_nm"]
    numbers += ["mean_strain_std"] if any("mean_strain_std" in facet for facet in result.facets) else []
    head = ["hkl", *numbers, "normal_x", "normal_y", "normal_z"]
    rows = ["\t".join(head)]
    for facet in result.facets:
        plane = "" if facet["hkl"] is None else ",".join(map(str, facet["hkl"]))
        values = [*(facet[name] for name in numbers), *facet["normal"]]
        rows.append("\t".join([plane, *(f"{value:.6g}" for value in values)]))
    with atomic_path(path) as part:
        Path(part).write_text("\n".join(rows) + "\n", encoding="utf-8")


def _as_json(result) -> str:
    import json

    return json.dumps({**result.numbers, "facets": list(result.facets), "notes": list(result.notes)}, indent=2)


def summarise(output: Path, result) -> str:
    """A few lines on the crystal, and what to be careful about."""
    n = result.numbers

    def told(name: str, factor: float = 1.0, digits: int = 4) -> str:
        spread = f" +- {n[f'{name}_std'] * factor:.2g}" if f"{name}_std" in n else ""
        return f"{n[name] * factor:.{digits}g}{spread}"

    voxels = " x ".join(f"{length:.3g}" for length in result.fields.frame.voxel_nm)
    angles = ", ".join(f"{angle:.3g}" for angle in result.fields.frame.voxel_angles_deg)
    lines = [
        f"{output}: {result.orthogonal.frame} frame, voxels of {result.orthogonal.voxel_nm:.3g} nm "
        f"(the object's own: {voxels} nm at {angles} degrees)",
        f"size: {told('diameter_nm')} nm (sphere of equal volume), volume {told('volume_nm3')} nm^3",
        f"lattice planes: {told('d_spacing_nm', digits=6)} nm apart",
        f"displacement along Q: range {told('displacement_range_nm')} nm (phase {told('phase_range_rad')} rad)",
    ]
    for place in ("bulk", "surface"):
        if f"rms_strain_{place}" in n:
            mean, rms = told(f"mean_strain_{place}", 1e4, 3), told(f"rms_strain_{place}", 1e4, 3)
            lines.append(f"strain in the {place}: mean {mean}, rms {rms} (1e-4)")
    if "mean_strain_reference" in n:
        lines.append(f"mean strain against the reference lattice: {told('mean_strain_reference', 1e4, 3)} (1e-4)")
    lines += _facet_lines(result.facets)
    return "\n".join([*lines, *(f"note: {note}" for note in result.notes)])


def _facet_lines(facets) -> list[str]:
    """The largest facets in a line."""
    if not facets:
        return []
    named = [f"({' '.join(map(str, f['hkl']))}) {f['area_nm2']:.3g} nm^2" for f in facets[:5] if f["hkl"] is not None]
    return [f"facets: {len(facets)}" + (", largest " + ", ".join(named) if named else "; --hkl 1,1,1 names them")]
