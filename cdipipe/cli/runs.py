"""``cdipipe runs``: look through the independent runs of a reconstruction, drop some, average the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cdipipe.errors import InputError

SUPPORT_SIGMA_PX = 1.0
SUPPORT_THRESHOLD = 0.2


def command(
    reconstruction: Annotated[Path, typer.Argument(help="reconstruction with stored runs (--keep-runs), .cxi")],
    drop: Annotated[str, typer.Option(help="runs to leave out, by index: 3,7")] = "",
    keep_best: Annotated[
        int | None, typer.Option(min=1, help="of the rest, keep so many of lowest Poisson NLL")
    ] = None,
    agree: Annotated[
        float,
        typer.Option(min=0, max=1, help="leave out runs that correlate less than this with the best; 0 keeps all"),
    ] = 0.9,
    modes: Annotated[int, typer.Option(min=1, help="orthogonal modes to store with -o, at most the runs kept")] = 3,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="reconstruction to write: mean of the kept runs, .cxi")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print as JSON")] = False,
) -> None:
    """List the stored runs; with -o, write the mean of those kept, and their modes, as a new reconstruction."""
    from cdipipe.io.atomic import check_output
    from cdipipe.io.cxi import read_reconstruction
    from cdipipe.metrics.statistics import check_runs

    if output is not None:
        check_output(output)
        if output.exists() and reconstruction.exists() and output.samefile(reconstruction):
            raise InputError(f"{output}: the output would replace its input; give it another name")
    source = read_reconstruction(reconstruction)
    if source.runs is None or not len(source.runs) or source.stack in ("shots", "movie"):
        raise InputError(
            f"{reconstruction}: `runs` needs a single pattern or volume that was reconstructed with --keep-runs"
        )
    check_runs(source)
    kept = _choose(source, _indices(drop, len(source.runs)), keep_best)
    aligned, rows = _compare(source, kept)
    strangers = [index for index in kept if rows[index]["correlation_with_best"] < agree]
    aligned = [run for index, run in zip(kept, aligned, strict=True) if index not in strangers]
    kept = [index for index in kept if index not in strangers]
    for index in strangers:
        rows[index]["kept"] = False
    print(_as_json(rows) if as_json else _table(rows))
    if strangers and not as_json:
        shown = ", ".join(f"{index} ({rows[index]['correlation_with_best']:.2f})" for index in strangers)
        print(f"left out, because they correlate less than {agree:g} with run {kept[0]}: {shown}")
    if output is not None:
        weights = _write_mean(output, reconstruction, source, aligned, kept, modes)
        what = f"mean of {len(kept)} runs" if len(kept) > 1 else f"run {kept[0]} alone: no other agrees with it"
        if not as_json:
            print(f"{output}: {what}, mode weights " + " ".join(f"{w:.4f}" for w in weights))


def _indices(text: str, count: int) -> set[int]:
    """The runs that ``--drop`` names."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isdigit() and int(part) < count for part in parts):
        raise InputError(f"--drop {text}: expected indices 0 to {count - 1}, separated by commas")
    return {int(part) for part in parts}


def _choose(source, dropped: set[int], keep_best: int | None) -> list[int]:
    """Indices of the runs to keep, best first."""
    from cdipipe.metrics.statistics import best_first

    kept = [int(i) for i in best_first(source.run_scores, len(source.runs)) if i not in dropped][:keep_best]
    if not kept:
        raise InputError(f"--drop leaves none of the {len(source.runs)} runs; keep at least one")
    return kept


def _compare(source, kept: list[int]):
    """The kept runs aligned to the best of them, and one row of numbers per stored run."""
    from cdipipe.metrics.align import align_to

    reference = source.runs[kept[0]]
    scores = {k: v for k, v in source.run_scores.items() if len(v) == len(source.runs)}
    aligned, rows = {}, []
    for index, run in enumerate(source.runs):
        found = align_to(reference, run)
        aligned[index] = found.object
        row = {"index": index, "kept": index in kept} | {name: values[index].item() for name, values in scores.items()}
        row |= {"correlation_with_best": found.correlation, "twin": found.twin, "shift_px": list(found.shift_px)}
        rows.append(row)
    return [aligned[index] for index in kept], rows


def _as_json(rows: list[dict]) -> str:
    import json
    import math

    plain = [{k: v for k, v in row.items() if not (isinstance(v, float) and not math.isfinite(v))} for row in rows]
    return json.dumps(plain, indent=2, allow_nan=False)


def _table(rows: list[dict]) -> str:
    heads = list(rows[0])
    cells = [heads] + [[_short(row[head]) for head in heads] for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(len(heads))]
    return "\n".join("  ".join(f"{cell:>{w}}" for cell, w in zip(line, widths, strict=True)) for line in cells)


def _short(value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return "(" + ", ".join(f"{item:.2f}" for item in value) + ")"
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _write_mean(output: Path, path: Path, source, aligned: list, kept: list[int], count: int):
    """Write the new reconstruction and return the weights of its modes."""
    from dataclasses import replace

    import numpy as np

    from cdipipe.io.cxi import write_reconstruction
    from cdipipe.metrics.statistics import mean_object
    from cdipipe.metrics.statistics import modes as find_modes
    from cdipipe.provenance import collect

    runs = np.stack(aligned)
    mean = mean_object(runs)
    if not mean.any():
        raise InputError(f"{path}: the kept runs are zero everywhere; nothing to average")
    found, weights = find_modes(runs, min(count, len(runs)))
    total, trace = len(source.runs), source.error_trace
    result = replace(
        source,
        object=mean,
        support=_support_of(mean),
        runs=runs,
        run_scores={k: v[kept] for k, v in source.run_scores.items() if len(v) == total},
        error_trace=trace[kept] if trace is not None and trace.ndim == 2 and len(trace) == total else trace,
        modes=found,
        mode_weights=weights[: len(found)],
        recipe={**source.recipe, "mean_of_runs": kept},
        provenance=collect([path]),
    )
    write_reconstruction(output, result)
    return result.mode_weights


def _support_of(object_):
    """Where the blurred modulus (1 px) exceeds a fifth of its maximum."""
    import numpy as np
    import torch

    from cdipipe.optics import fourier

    modulus = torch.from_numpy(np.abs(object_))
    blurred = fourier.gaussian_blur_corner(modulus, SUPPORT_SIGMA_PX, modulus.ndim)
    return (blurred > SUPPORT_THRESHOLD * blurred.max()).numpy()
