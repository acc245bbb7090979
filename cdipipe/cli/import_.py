"""``cdipipe import``: files of other tools in, a measurement out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cdipipe.errors import InputError


def parse_integers(text: str | None, option: str) -> tuple[int, ...] | None:
    """``96,128,128`` as numbers; raises InputError naming the option."""
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"{option} {text}: expected whole numbers with commas, such as 128,128") from None


def _check_numbers(**values: float | None) -> None:
    for name, value in values.items():
        may_be_negative = name == "rocking_step_rad"
        if value is not None and not (abs(value) < float("inf") and (value > 0 or (may_be_negative and value != 0))):
            raise InputError(f"--{name.replace('_', '-')} {value}: expected a positive number")


def _check(output: Path, inputs: list[str], stack: str | None) -> None:
    from cdipipe.io.atomic import check_output
    from cdipipe.io.importing.formats import split_key

    if stack not in (None, "shots", "movie", "volume"):
        raise InputError(f"--stack {stack}: expected shots, movie or volume")
    if check_output(output) in {split_key(name)[0].resolve() for name in inputs}:
        raise InputError(f"{output}: the output would replace an input; give it another name")


def _parse_roi(roi: str) -> tuple[int, int]:
    if len(corner := parse_integers(roi, "--roi")) != 2:
        raise InputError(f"--roi {roi}: expected row,column")
    return corner


def _parse_centre(centre: str, no_centre: bool) -> str | tuple[int, ...]:
    if no_centre:
        return "middle"
    return centre if centre in ("peak", "file") else parse_integers(centre, "--centre")


def command(
    files: Annotated[
        list[str], typer.Argument(help="npy npz tif mat h5 edf cbf cxi, also .gz; FILE::KEY picks an array")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="measurement to write, .cxi")],
    stack: Annotated[str | None, typer.Option(help="what the first of three axes is: shots, movie or volume")] = None,
    dataset: Annotated[str | None, typer.Option(help="name of the array inside npz, mat and h5 files")] = None,
    axis: Annotated[str | None, typer.Option(help="stack axis in the file (2), or order of its axes (2,0,1)")] = None,
    frames: Annotated[str | None, typer.Option(help="frames to take of a stack: 48, or first:last:step")] = None,
    mask: Annotated[str | None, typer.Option(help="FILE[::KEY], nonzero = measured; cxi: CXI bits")] = None,
    mask_bad: Annotated[bool, typer.Option("--mask-bad", help="in --mask nonzero = bad")] = False,
    energy_ev: Annotated[float | None, typer.Option(help="photon energy in eV")] = None,
    distance_m: Annotated[float | None, typer.Option(help="sample to detector in m")] = None,
    pixel_m: Annotated[float | None, typer.Option(help="detector pixel in m, before --bin")] = None,
    rocking_step_rad: Annotated[float | None, typer.Option(help="rocking angle per slice of a volume, in rad")] = None,
    corner: Annotated[bool, typer.Option("--corner", help="zero frequency is at the corner of the array")] = False,
    amplitude: Annotated[bool, typer.Option("--amplitude", help="values are amplitudes: square them")] = False,
    saturation: Annotated[float | None, typer.Option(help="mask counts of at least this")] = None,
    threshold: Annotated[float | None, typer.Option(help="set counts below this to 0, after the corrections")] = None,
    dark: Annotated[str | None, typer.Option(help="dark frame to subtract, FILE[::KEY]")] = None,
    whitefield: Annotated[str | None, typer.Option(help="white field to divide by, FILE[::KEY]")] = None,
    roi: Annotated[str, typer.Option(help="row,column of the frames on a larger dark or white field")] = "0,0",
    bin_: Annotated[
        str | None, typer.Option("--bin", help="sum photons over blocks: 2 (detector axes) or 1,2,2")
    ] = None,
    crop: Annotated[
        str | None, typer.Option(help="size of the result, after --bin, around the peak: 256, 128,128 or 96,128,128")
    ] = None,
    centre: Annotated[
        str, typer.Option(help="pixel to crop around: peak, file (CXI), or row,column after --bin")
    ] = "peak",
    no_centre: Annotated[bool, typer.Option("--no-centre", help="crop around the middle of the array")] = False,
    friedel: Annotated[
        bool, typer.Option("--friedel", help="fill unmeasured pixels by I(q) = I(-q); for real objects")
    ] = False,
    probe: Annotated[str | None, typer.Option(help="probe modes (M, H, W), FILE[::KEY]: npy npz mat h5 cxi")] = None,
    exposure_s: Annotated[float | None, typer.Option(help="exposure per frame; for a --probe given per second")] = None,
    frame_interval_s: Annotated[float | None, typer.Option(help="time from frame to frame of a movie, in s")] = None,
) -> None:
    """Turn files of other tools into a measurement.

    In this order: stack the files, mask (NaN, infinite and negative counts always), square amplitudes, mask saturated
    pixels, subtract the dark, divide by the white field, cut low counts, centre the corner, bin, crop, fill.
    """
    inputs = [*files, *(name for name in (mask, dark, whitefield, probe) if name)]
    _check(output, inputs, stack)
    _check_numbers(energy_ev=energy_ev, distance_m=distance_m, pixel_m=pixel_m, rocking_step_rad=rocking_step_rad)
    _check_numbers(exposure_s=exposure_s, frame_interval_s=frame_interval_s)

    from cdipipe.io.importing.assemble import ImportOptions, import_files
    from cdipipe.measurement import Geometry

    options = ImportOptions(
        stack=stack,
        dataset=dataset,
        axes=parse_integers(axis, "--axis"),
        frames=frames,
        mask=mask,
        mask_bad=mask_bad,
        corner=corner,
        amplitude=amplitude,
        saturation=saturation,
        threshold=threshold,
        dark=dark,
        whitefield=whitefield,
        roi=_parse_roi(roi),
        bin=parse_integers(bin_, "--bin"),
        crop=parse_integers(crop, "--crop"),
        centre=_parse_centre(centre, no_centre),
        friedel=friedel,
        probe=probe,
        exposure_s=exposure_s,
        frame_interval_s=frame_interval_s,
        geometry=Geometry(energy_ev, distance_m, pixel_m, rocking_step_rad=rocking_step_rad),
    )
    measurement, account = import_files(files, options)
    _write(output, measurement, account, inputs, options)


def _write(output: Path, measurement: Any, account: dict, inputs: list[str], options: Any) -> None:
    from dataclasses import asdict, replace

    from cdipipe.io.cxi import write_measurement
    from cdipipe.io.importing.formats import split_key
    from cdipipe.provenance import collect

    record = collect(dict.fromkeys(split_key(name)[0] for name in inputs))
    chosen = {
        name: value for name, value in asdict(options).items() if value not in (None, False) and name != "geometry"
    }
    record["import"] = {"options": chosen, **account}
    write_measurement(output, replace(measurement, provenance=record))
    print(summarise(output, measurement, account))


def summarise(output: Path, measurement: Any, account: dict) -> str:
    """A few lines on what was imported and what was lost on the way."""
    shape, masked = measurement.intensity.shape, 1 - measurement.measured.mean()
    lines = [
        f"{output}: {measurement.stack}, shape {shape}",
        f"photons: {account['photons_read']:.6g} read, {account['photons_kept']:.6g} kept on measured pixels",
        f"masked: {100 * masked:.2f} % of the result"
        + "".join(f"; {reason} {count}" for reason, count in account["masked"].items()),
    ]
    if "friedel_filled" in account:
        lines.append(f"filled by I(q) = I(-q): {account['friedel_filled']} pixels")
    centre, middle = tuple(account["centre"]), tuple(size // 2 for size in measurement.pattern_shape)
    if account["centred"]:
        lines.append(f"centre: index {centre} of the pattern is now at {middle}")
    elif (
        measurement.measured[(..., *middle)].all() and max(abs(a - b) for a, b in zip(centre, middle, strict=True)) > 1
    ):
        lines.append(f"note: the brightest pixel is at {centre}, not at {middle}; --crop SIZE centres it")
    return "\n".join(lines)
