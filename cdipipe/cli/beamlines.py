"""``cdipipe beamlines``: whose axes and motor names are known, and what one of them says."""

from __future__ import annotations

from typing import Annotated, Any

import typer


def command(
    name: Annotated[str | None, typer.Argument(help="a beamline, or a YAML file of one, to show all of it")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print as JSON")] = False,
) -> None:
    """List the beamlines, or one's circles, motors, detectors and files.

    A beamline of your own is a YAML file: `cdipipe beamlines my.yaml` checks it, `import --beamline my.yaml` uses it.
    """
    from cdipipe.beamlines.registry import BEAMLINES, get_beamline
    from cdipipe.cli.listing import print_json

    records = BEAMLINES.all() if name is None else {name: get_beamline(name, where="")}
    if as_json:
        print_json({key: record.model_dump(mode="json") for key, record in records.items()}, name)
    elif name is None:
        print(_table([("name", "technique", "sample", "detector", "where")] + [_row(one) for one in records.values()]))
    else:
        print("\n".join(_lines(records[name])))


def _signed(axis: tuple[float, float, float]) -> str:
    from cdipipe.beamlines.record import SIGNED_AXES

    known = {vector: text for text, vector in SIGNED_AXES.items()}
    return known.get(tuple(axis), "(" + " ".join(f"{part:g}" for part in axis) + ")")


def _circles(entries: list[Any]) -> str:
    return " ".join(f"{entry.name}:{_signed(entry.axis)}" for entry in entries) or "-"


def _row(beamline: Any) -> tuple[str, ...]:
    return (
        beamline.name,
        beamline.technique,
        _circles(beamline.sample),
        _circles(beamline.arm),
        beamline.summary,
    )


def _table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _lines(beamline: Any) -> list[str]:
    rows = [("circle", "axis", "motors", "zero (deg)", "carries")]
    for carried, entries in (("the sample", beamline.sample), ("the detector", beamline.arm)):
        for entry in entries:
            rows.append((entry.name, _signed(entry.axis), " ".join(entry.names), f"{entry.zero_deg:g}", carried))
    detectors = [("detector", "pixel (um)", "rows", "columns")]
    for name, entry in beamline.detectors.items():
        pixels = " x ".join(f"{pixel * 1e6:g}" for pixel in entry.pixel_m)
        detectors.append((name, pixels, _signed(entry.rows), _signed(entry.columns)))
    return [
        f"{beamline.name}: {beamline.summary}, {beamline.technique}",
        "z along the beam, y up, x to the left when looking along the beam; circles outermost first; + is right-handed",
        "",
        _table(rows),
        "",
        _table(detectors),
        "",
        f"rocking: {', '.join(beamline.rocking) or 'unknown'}",
        *(_quantity(beamline, name) for name in ("energy", "distance", "exposure") if getattr(beamline, name)),
        *(f"{what} files: {text}" for what, text in beamline.files.items()),
        *(f"note: {text}" for text in beamline.notes),
        *(f"from: {text}" for text in beamline.references),
    ]


def _quantity(beamline: Any, name: str) -> str:
    entry = getattr(beamline, name)
    return f"{name}: {' or '.join(entry.motors)}, in {entry.unit}"
