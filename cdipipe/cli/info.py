"""``cdipipe info``: what a file holds."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

LONGEST_LIST = 8


def command(
    file: Annotated[str, typer.Argument(help="measurement, reconstruction or truth (cxi), or an array file")],
    as_json: Annotated[bool, typer.Option("--json", help="everything, as JSON")] = False,
) -> None:
    """Show shape, photons, masked share, geometry, sampling and provenance of a file."""
    from cdipipe.io.describe import describe

    facts = describe(file)
    if as_json:
        print(json.dumps(facts, indent=2, default=str))
    else:
        print("\n".join(_lines(facts)))


def _number(value: Any) -> str:
    if isinstance(value, list):
        more = ["..."] if len(value) > LONGEST_LIST else []
        return "(" + ", ".join([_number(item) for item in value[:LONGEST_LIST]] + more) + ")"
    if isinstance(value, dict):
        return json.dumps(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    return "unknown" if value is None else str(value)


def _lines(facts: dict[str, Any], indent: str = "", verbatim: bool = False) -> list[str]:
    """One line per fact, mappings indented below their name (``verbatim`` inside provenance); empty ones left out."""
    lines = []
    for name, value in facts.items():
        if value in ("", {}, [], None):
            continue
        label = name if verbatim else name.replace("_", " ")
        if isinstance(value, dict):
            lines += [f"{indent}{label}:", *_lines(value, indent + "  ", verbatim or name == "provenance")]
        elif name == "masked_share":
            lines.append(f"{indent}masked: {100 * value:.2f} %")
        else:
            lines.append(f"{indent}{label}: {_number(value)}")
    return lines
