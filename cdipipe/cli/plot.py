"""``cdipipe plot``: a picture of a measurement, of one or several objects, or of metrics."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from cdipipe.cli.labels import label_of, labels_of
from cdipipe.errors import InputError


def command(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="one measurement, reconstructions, one strain, error bars, metrics, curves, or a checkpoint"
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            help="figure to write: .png, .svg or .pdf; of a movie also .gif or .webp; or a folder, for all figures of "
            "a measurement, its reconstructions and their error bars",
        ),
    ],
    measurement: Annotated[Path | None, typer.Option(help="pattern to show beside the object")] = None,
    truth: Annotated[Path | None, typer.Option(help="simulated object to show beside")] = None,
    curves: Annotated[
        list[Path] | None, typer.Option(help="curves.npz of `cdipipe evaluate`, for --diagnostics; one per object")
    ] = None,
    diagnostics: Annotated[
        Path | None,
        typer.Option(help="second figure: error traces, resolution, runs; of several objects their resolution"),
    ] = None,
    surface: Annotated[Path | None, typer.Option(help="of strain: the rendered surface, .png")] = None,
) -> None:
    """Draw a pattern, an object, several objects side by side, a table of metrics, or what a training did."""
    from cdipipe.cli.imports import quick_imports

    with quick_imports():
        from cdipipe.figures import canvas, movie
        from cdipipe.provenance import collect

    if files[0].suffix == ".cxi" and _kind(files[0]) == "strain":
        return _strain(files, output, diagnostics, surface)
    if files[0].suffix == ".cxi" and _kind(files[0]) == "uncertainty":
        return _uncertainty(files, output)
    if not output.suffix:
        return _all_of_a_measurement(files, truth, output)
    if surface is not None:
        raise InputError("--surface: belongs to the strain of a crystal (see `cdipipe strain`)")
    if output.suffix.lstrip(".").lower() in movie.FORMATS:
        return _movie(files, output)
    for path in filter(None, (output, diagnostics)):
        canvas.check_figure_path(path)
    figures = {output: _main_figure(files, measurement, truth)}
    if diagnostics is not None:
        figures[diagnostics] = _diagnostics(files, curves)
    elif curves:
        raise InputError("--curves: belongs to --diagnostics FIG.png, which is not given")
    for path, figure in figures.items():
        canvas.save_figure(figure, path, collect()["command"])


def _all_of_a_measurement(files: list[Path], truth: Path | None, folder: Path) -> None:
    """The pattern, each object with its diagnostics (and movie) and error bars, and all of them side by side."""
    from cdipipe import figures
    from cdipipe.figures import canvas, movie
    from cdipipe.figures.curves import diagnostics_figure, resolution_figure
    from cdipipe.io.cxi import read_measurement, read_reconstruction, read_truth
    from cdipipe.io.metrics_file import read_curves
    from cdipipe.provenance import collect

    if files[0].suffix != ".cxi" or _kind(files[0]) != "measurement":
        raise InputError(
            f"{folder}/: a folder is for one measurement and its reconstructions; name the measurement first"
        )
    command, true_object = collect()["command"], None if truth is None else read_truth(truth)
    bars = [path for path in files[1:] if _kind(path) == "uncertainty"]
    paths = [path for path in files[1:] if path not in bars]
    measurement, labels = read_measurement(files[0]), labels_of(paths)

    def save(figure, *place: str) -> None:
        path = folder.joinpath(*place)
        path.parent.mkdir(parents=True, exist_ok=True)
        canvas.save_figure(figure, path, command)

    save(figures.pattern_figure(measurement), "pattern.png")
    results, known = {}, {}
    for label, path in zip(labels, paths, strict=True):
        result = read_reconstruction(path)
        if (path.parent / "curves.npz").exists():
            known[label] = read_curves(path.parent / "curves.npz")
        save(figures.object_figure(result, None, true_object), label, "object.png")
        save(diagnostics_figure(result, known.get(label)), label, "diagnostics.png")
        if result.stack == "movie":
            movie.write_movie(result, folder / label / "movie.gif", command)
        results[label] = dataclasses.replace(result, runs=None)
    if len(results) > 1:
        _check_shapes(results.values(), true_object)
        save(figures.comparison_figure(list(results.items()), true_object), "comparison.png")
        save(resolution_figure(list(known.items())), "resolution.png")
    if bars:
        _uncertainty(bars, folder)


def _strain(files: list[Path], output: Path, diagnostics: Path | None, surface: Path | None) -> None:
    """Slices (or a movie of them), details, and the rendered surface of one crystal."""
    from cdipipe.bragg.files import read_strain
    from cdipipe.figures import canvas, movie, strain
    from cdipipe.provenance import collect

    if len(files) != 1:
        raise InputError(f"plot: strain is drawn one crystal at a time; got {len(files)} files")
    moving = output.suffix.lstrip(".").lower() in movie.FORMATS
    for path in filter(None, (None if moving else output, diagnostics)):
        canvas.check_figure_path(path)
    result, command = read_strain(files[0]), collect()["command"]
    if moving:
        strain.write_slices_movie(result, output)
    else:
        canvas.save_figure(strain.strain_figure(result), output, command)
    if diagnostics is not None:
        canvas.save_figure(strain.strain_details_figure(result), diagnostics, command)
    if surface is not None:
        strain.write_surface(result, surface)


def _uncertainty(files: list[Path], output: Path) -> None:
    """Maps of the error bars of each result."""
    from cdipipe.figures import canvas
    from cdipipe.figures.uncertainty import uncertainty_figure
    from cdipipe.provenance import collect
    from cdipipe.uncertainty.files import read_uncertainty

    if not output.suffix:
        outputs = [output / label / "uncertainty.png" for label in labels_of(files)]
    elif len(files) == 1:
        outputs = [output]
    else:
        raise InputError(f"-o {output}: error bars of one result; for those of {len(files)} give a folder")
    command = collect()["command"]
    for path, picture in zip(files, outputs, strict=True):
        canvas.check_figure_path(picture)
        picture.parent.mkdir(parents=True, exist_ok=True)
        canvas.save_figure(uncertainty_figure(read_uncertainty(path)), picture, command)


def _movie(files: list[Path], output: Path) -> None:
    from cdipipe.figures.movie import write_movie
    from cdipipe.io.cxi import read_reconstruction
    from cdipipe.provenance import collect

    if len(files) != 1:
        raise InputError(f"{output}: a moving picture shows one reconstruction; got {len(files)} files")
    write_movie(read_reconstruction(files[0]), output, collect()["command"])


def _main_figure(files: list[Path], measurement: Path | None, truth: Path | None):
    from cdipipe import figures
    from cdipipe.io.cxi import read_measurement, read_reconstruction, read_truth
    from cdipipe.io.metrics_file import read_metrics

    if all(path.suffix == ".json" for path in files):
        return figures.metrics_figure([(label_of(path, 2), read_metrics(path)) for path in files])
    if all(path.suffix == ".tsv" for path in files):
        from cdipipe.figures.training import training_figure

        return training_figure([(label_of(path), read_training(path)) for path in files])
    if len(files) == 1 and files[0].suffix == ".pt":
        return _activations(files[0], measurement)
    if len(files) == 1 and _kind(files[0]) == "measurement":
        return figures.pattern_figure(read_measurement(files[0]))
    true_object = read_truth(truth) if truth is not None else None
    results = [read_reconstruction(path) for path in files]
    _check_shapes(results, true_object)
    if len(files) > 1:
        return figures.comparison_figure(
            [(label_of(path), result) for path, result in zip(files, results, strict=True)], true_object
        )
    beside = read_measurement(measurement) if measurement is not None else None
    return figures.object_figure(results[0], beside, true_object)


def _check_shapes(results, true_object) -> None:
    shapes = {result.object.shape for result in results} | ({true_object.object.shape} if true_object else set())
    if len(shapes) > 1:
        raise InputError(f"plot: objects of different shapes cannot be shown together: {sorted(shapes)}")


def _activations(checkpoint: Path, measurement: Path | None):
    from cdipipe.figures.training import activation_figure
    from cdipipe.io.cxi import read_measurement
    from cdipipe.networks.activation_maps import activations
    from cdipipe.networks.checkpoint import read_checkpoint

    if measurement is None:
        raise InputError(f"{checkpoint}: activation maps need a pattern; give --measurement M.cxi")
    found, pattern = read_checkpoint(checkpoint), read_measurement(measurement)
    return activation_figure(activations(found, pattern), pattern.pattern(0).intensity, found.network.name)


def _diagnostics(files: list[Path], curves: list[Path] | None):
    from cdipipe.figures.curves import diagnostics_figure, resolution_figure
    from cdipipe.io.cxi import read_reconstruction
    from cdipipe.io.metrics_file import read_curves

    known = [read_curves(path) for path in curves or []]
    if len(files) == 1 and len(known) < 2:
        return diagnostics_figure(read_reconstruction(files[0]), known[0] if known else None)
    if len(files) != len(known):
        raise InputError(f"--diagnostics: {len(files)} objects need as many --curves; got {len(known)}")
    return resolution_figure([(label_of(path), one) for path, one in zip(files, known, strict=True)])


def _kind(path: Path) -> str | None:
    from cdipipe.io.cxi.layout import read_kind
    from cdipipe.io.hdf5 import open_source

    with open_source(path) as source:
        return read_kind(source)


def read_training(path: Path) -> dict:
    """Columns of a training's curve.tsv by name; InputError if it is something else."""
    import numpy as np

    from cdipipe.settings import read_text

    try:
        names, *rows = (line.split("\t") for line in read_text(path).splitlines())
        columns = dict(zip(names, zip(*rows, strict=True), strict=True))
        numbers = {n: np.array([float(v or "nan") for v in c]) for n, c in columns.items() if n != "stage"}
        return {"stage": list(columns["stage"]), **numbers, "train_loss": numbers["train_loss"]}
    except InputError:
        raise
    except (ValueError, KeyError) as error:
        raise InputError(f"{path}: not a training's curve; expected the curve.tsv of `cdipipe train`") from error
