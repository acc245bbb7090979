"""``cdipipe import``: files of other tools in, a measurement out."""

from __future__ import annotations

import inspect
import types
import typing
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from cdipipe.errors import InputError
from cdipipe.io.importing.options import fields_by_group, options_from_command


def _option(heading: str, name: str, field: Any) -> inspect.Parameter:
    """A command-line option from a field of the record: a flag, or a text that the record judges."""
    flag = "--" + name.replace("_", "-")
    is_flag = field.annotation is bool
    shown = False if field.default in (None, False) else ",".join(map(str, _as_list(field.default)))
    option = typer.Option(
        flag,
        help=field.description,
        rich_help_panel=heading,
        metavar=None if is_flag else _metavar(field.annotation),
        show_default=shown,
    )
    annotation = Annotated[bool if is_flag else str | None, option]
    default = False if is_flag else None
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _as_list(value: Any) -> list:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _metavar(annotation: Any) -> str:
    """What is allowed: the words of a Literal, else NUMBER or TEXT."""
    kinds = list(_kinds(annotation))
    words = [str(word) for kind in kinds if typing.get_origin(kind) is Literal for word in typing.get_args(kind)]
    if words:
        return "|".join([*words, *(["NUMBER"] if float in kinds else [])])
    return "NUMBER" if float in kinds or int in kinds else "TEXT" if str in kinds else "N,N,..."


def _kinds(annotation: Any) -> typing.Iterator[Any]:
    """The types in a union, without what they are annotated with."""
    if typing.get_origin(annotation) is Annotated:
        yield from _kinds(annotation.__origin__)
    elif typing.get_origin(annotation) in (typing.Union, types.UnionType):
        for member in typing.get_args(annotation):
            yield from _kinds(member)
    else:
        yield annotation


def _check(output: Path, inputs: list[str]) -> None:
    from cdipipe.io.atomic import check_output
    from cdipipe.io.importing.files import split_key

    if check_output(output) in {split_key(name)[0].resolve() for name in inputs}:
        raise InputError(f"{output}: the output would replace an input; give it another name")


def command(
    files: Annotated[
        list[str], typer.Argument(help="npy npz tif mat h5 edf cbf cxi, also .gz .bz2 .xz; FILE::KEY picks an array")
    ],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="measurement to write, .cxi")] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="print what would be read and done; write nothing")
    ] = False,
    **given: Any,
) -> None:
    """Turn files of other tools into a measurement.

    In this order: stack the files, mask what is no photon count, square amplitudes, mask saturated pixels, subtract the
    dark, divide by the white field, mask hot pixels, subtract the background, scale to the monitor, cut low counts,
    centre the corner, bin, crop, fill, keep shots.
    """
    options = options_from_command({name: value for name, value in given.items() if value is not False})

    from cdipipe.io.importing.assemble import explain_files, import_files
    from cdipipe.io.importing.files import expand_all

    if explain:
        print(_table(explain_files(files, options)))
        return
    if output is None:
        raise InputError("-o FILE.cxi: missing; it names the measurement to write (--explain writes none)")
    names, _ = expand_all(files)
    inputs = [*names, *options.named_files()]
    _check(output, inputs)
    measurement, account = import_files(files, options)
    if options.keep_shots is not None:
        from cdipipe.metrics.keep_shots import keep_of_import

        measurement = keep_of_import(measurement, options.keep_shots, account)
    _write(output, measurement, account, inputs, options)


def _table(rows: list[tuple[str, str, str, str]]) -> str:
    """Rows of text below their headings, in columns."""
    rows = [("step", "choice", "reason", "shape"), *rows]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


_own = list(inspect.signature(command, eval_str=True).parameters.values())[:-1]
command.__signature__ = inspect.Signature([*_own, *(_option(*each) for each in fields_by_group())])
command.__annotations__ = {
    parameter.name: parameter.annotation for parameter in command.__signature__.parameters.values()
}


def _write(output: Path, measurement: Any, account: Any, inputs: list[str], options: Any) -> None:
    from dataclasses import replace

    from cdipipe.io.cxi import write_measurement
    from cdipipe.io.importing.files import split_key
    from cdipipe.provenance import collect

    record = collect(dict.fromkeys(split_key(name)[0] for name in inputs))
    record["import"] = {"options": options.chosen(), **account.record()}
    write_measurement(output, replace(measurement, provenance=record))
    print(summarise(output, measurement, account))


def summarise(output: Path, measurement: Any, account: Any) -> str:
    """A few lines on what was imported and what was lost on the way."""
    shape, masked, facts = measurement.intensity.shape, 1 - measurement.measured.mean(), account.facts
    lines = [
        f"{output}: {measurement.stack}, shape {shape}",
        f"photons: {facts['photons_read']:.6g} read, {facts['photons_kept']:.6g} kept on measured pixels",
        f"masked: {100 * masked:.2f} % of the result"
        + "".join(f"; {reason} {count}" for reason, count in facts["masked"].items()),
    ]
    if "friedel_filled" in facts:
        lines.append(f"filled by I(q) = I(-q): {facts['friedel_filled']} pixels")
    return "\n".join([*lines, *account.told()])
