"""``cdipipe resolution``: how fine a result is, without its truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cdipipe.errors import InputError


def command(
    reconstruction: Annotated[Path, typer.Argument(help="result of one pattern or volume, .cxi")],
    measurement: Annotated[Path, typer.Option(help="what it was reconstructed from, .cxi")],
    output: Annotated[Path, typer.Option("-o", "--output", help="numbers to write, .json")],
    curves: Annotated[Path | None, typer.Option(help="curves to write, .npz")] = None,
    figure: Annotated[Path | None, typer.Option(help="picture of the curves to write, .png, .svg or .pdf")] = None,
    support: Annotated[Path | None, typer.Option(help="the support that `reconstruct` was given, if any")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="twins, starts or seed=value, repeated")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
) -> None:
    """Resolution without a truth: phase the result's own simulated experiment, and the counts, from new starts."""
    from cdipipe.io.atomic import check_output
    from cdipipe.settings import parse_settings, validate
    from cdipipe.uncertainty.choices import ResolutionChoices

    choices = validate(ResolutionChoices, parse_settings(settings or []), "resolution")
    inputs = [path for path in (reconstruction, measurement, support) if path is not None]
    for path in filter(None, (output, curves, figure)):
        check_output(path)
        if any(other.exists() and path.exists() and path.samefile(other) for other in inputs):
            raise InputError(f"{path}: the output would replace an input; give it another name")
    if curves is not None and curves.suffix != ".npz":
        raise InputError(f"--curves {curves}: expected a name that ends in .npz")
    if figure is not None:
        from cdipipe.figures.canvas import check_figure_path

        check_figure_path(figure)

    from cdipipe.io.cxi import read_measurement, read_reconstruction
    from cdipipe.io.importing.formats import read_support
    from cdipipe.io.metrics_file import write_metrics
    from cdipipe.metrics.evaluate import evaluate
    from cdipipe.ops.device import choose_device
    from cdipipe.progress import progress
    from cdipipe.uncertainty.resolution import resolve

    result, data = read_reconstruction(reconstruction), read_measurement(measurement)
    found = resolve(
        result,
        data,
        choices,
        support=None if support is None else read_support(support),
        device=choose_device(device),
        progress=lambda items: progress(items, "phase anew"),
    )
    if curves is not None:
        _write_curves(curves, found.curves)
    if figure is not None:
        _draw(figure, found)
    verdict = evaluate(result, data).metrics["verdict"]
    write_metrics(output, {**found.numbers, "verdict": verdict})
    print(f"{output}: resolution {found.numbers['resolution_px']:.3g} px" + _beside(found.numbers))
    if verdict != "plausible":
        print(f"note: `cdipipe evaluate` calls this result {verdict}; its resolution may be far worse than told here")


def _beside(numbers: dict[str, float]) -> str:
    """What stands beside the resolution, in one line."""
    length = f" ({numbers['resolution_nm']:.3g} nm)" if "resolution_nm" in numbers else ""
    return (
        f"{length}; twins {numbers['resolution_twins_px']:.3g}, other starts {numbers['resolution_starts_px']:.3g}, "
        f"noise limit {numbers['resolution_noise_px']:.3g} px"
    )


def _write_curves(path: Path, curves: dict) -> None:
    import numpy as np

    from cdipipe.io.atomic import atomic_path

    with atomic_path(path) as part, open(part, "wb") as file:
        np.savez(file, **curves)


def _draw(path: Path, found) -> None:
    from cdipipe.figures.canvas import save_figure
    from cdipipe.figures.resolution import resolution_without_truth
    from cdipipe.provenance import collect

    save_figure(resolution_without_truth(found.curves, found.numbers), path, collect()["command"])
