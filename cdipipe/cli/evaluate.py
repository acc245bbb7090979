"""``cdipipe evaluate``: how good a reconstruction is, as one flat JSON file; or several of one measurement."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cdipipe.errors import InputError

BARS = "uncertainty"
"""Name of the workflow's files of error bars."""


def command(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="reconstructions of one measurement, and what `strain`, `multipeak` or `uncertainty` wrote, .cxi; "
            "with --corpus a trained network, .pt",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            help="metrics to write, .json; or a folder, for NAME/metrics.json of each, of error bars "
            "NAME/uncertainty.json",
        ),
    ],
    measurement: Annotated[Path | None, typer.Option(help="what they were reconstructed from, .cxi")] = None,
    truth: Annotated[Path | None, typer.Option(help="true object of a simulation, .cxi")] = None,
    curves: Annotated[
        Path | None,
        typer.Option(help="PRTF, FRC and radial curves to write, .npz or .json; in a folder they are NAME/curves.npz"),
    ] = None,
    corpus: Annotated[Path | None, typer.Option(help="judge a network on every sample of this corpus")] = None,
    figures: Annotated[
        Path | None, typer.Option(help="folder for the pictures of --corpus: errors.png, extremes.png")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="of --corpus: key=value of the network as a method, repeated; see `cdipipe methods`"
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="of --corpus: auto, cpu or cuda")] = "auto",
) -> None:
    """Measure reconstructions against their measurement, their own runs, and the truth where there is one.

    With --corpus: how good a trained network is on every sample of a corpus, beside its own modulus with phase zero.
    """
    if corpus is not None or figures is not None or settings:
        # by name, so that metrics of reconstructions do not depend on the code of networks and figures
        import importlib

        evaluate_corpus = importlib.import_module("cdipipe.cli.evaluate_corpus").evaluate_corpus
        if corpus is None or len(files) != 1 or any(option is not None for option in (measurement, truth, curves)):
            raise InputError(
                "--corpus DIR: goes with one checkpoint, -o, --set and --figures alone; the last two with it"
            )
        return evaluate_corpus(files[0], corpus, output, figures, device, settings or [])
    from cdipipe.cli.labels import labels_of
    from cdipipe.io.atomic import check_output

    if output.suffix == ".json":
        if len(files) != 1:
            raise InputError(f"-o {output}: metrics of one reconstruction; for {len(files)} give a folder")
        outputs = [(output, curves)]
    elif curves is not None:
        raise InputError(f"--curves {curves}: in a folder curves are NAME/curves.npz; leave --curves away")
    else:
        bars = [path for path in files if path.stem == BARS]
        others = [path for path in files if path.stem != BARS]
        places = {
            path: (output / label / f"{BARS}.json", None) for path, label in zip(bars, labels_of(bars), strict=True)
        }
        for path, label in zip(others, labels_of(others), strict=True):
            places[path] = output / label / "metrics.json", output / label / "curves.npz"
        outputs = [places[path] for path in files]
    for path, places in zip(files, outputs, strict=True):
        _check_names(path, measurement, truth, *places)
        for place in filter(None, places):
            place.parent.mkdir(parents=True, exist_ok=True)
            check_output(place)

    from cdipipe.io.cxi import file_kind, read_measurement, read_truth

    judges = {"uncertainty": _judge_uncertainty, "strain": _judge_strain, "crystal": _judge_crystal}
    kinds = [file_kind(path) for path in files]
    data = true_object = None
    if not judges.keys() >= set(kinds):
        if measurement is None:
            raise InputError("--measurement M.cxi is missing: what the reconstruction was made from")
        data, true_object = read_measurement(measurement), None if truth is None else read_truth(truth)
    for path, kind, found in zip(files, kinds, outputs, strict=True):
        if kind in judges:
            judges[kind](path, truth, found[0])
        else:
            _evaluate(path, data, true_object, *found)


def _evaluate(path: Path, measurement, truth, output: Path, curves: Path | None) -> None:
    from cdipipe.io.cxi import read_reconstruction
    from cdipipe.metrics.evaluate import evaluate
    from cdipipe.metrics.registry import all_metrics
    from cdipipe.progress import progress

    found = evaluate(read_reconstruction(path), measurement, truth, progress=lambda items: progress(items, "evaluate"))
    _write(output, curves, found)
    shown = [metric for name, metric in all_metrics().items() if metric.headline and name in found.metrics]
    print(f"{output}: " + ", ".join(f"{metric.name} {metric.text(found.metrics[metric.name])}" for metric in shown))
    if "headline" in found.metrics:
        print(f"numbers: {found.metrics['headline']}")
    print(f"verdict: {found.metrics['verdict']}")
    for reason in filter(None, found.metrics.get("reasons", "").split("; ")):
        print(f"  {reason}")


def _judge_strain(strain: Path, truth: Path | None, output: Path) -> None:
    """A crystal's numbers, and with truth how near shape, displacement and strain are to it."""
    from cdipipe.bragg.files import read_strain
    from cdipipe.bragg.judge import judge
    from cdipipe.io.cxi import read_truth
    from cdipipe.io.metrics_file import write_metrics

    result = read_strain(strain)
    found = {} if truth is None else judge(result.fields, read_truth(truth))
    write_metrics(output, {**found, **result.numbers})
    shown = found or {name: result.numbers[name] for name in ("diameter_nm", "d_spacing_nm", "rms_strain_bulk")}
    print(f"{output}: " + ", ".join(f"{name} {value:.4g}" for name, value in shown.items()))


def _judge_crystal(crystal: Path, truth: Path | None, output: Path) -> None:
    """How near the strain tensor of several reflections is to the truth."""
    from cdipipe.bragg.files import read_crystal
    from cdipipe.bragg.judge_crystal import judge_crystal
    from cdipipe.io.cxi import read_truth
    from cdipipe.io.metrics_file import write_metrics

    if truth is None:
        raise InputError("--truth T.cxi is missing: of the same crystal, simulated with displacement=vector")
    found = judge_crystal(read_crystal(crystal), read_truth(truth))
    write_metrics(output, found)
    print(f"{output}: " + ", ".join(f"{name} {value:.4g}" for name, value in found.items()))


def _judge_uncertainty(path: Path, truth: Path | None, output: Path) -> None:
    """How wide error bars are, and with truth how many of the true values they hold."""
    from cdipipe.io.cxi import read_truth
    from cdipipe.io.metrics_file import write_metrics
    from cdipipe.uncertainty.files import read_uncertainty
    from cdipipe.uncertainty.judge import judge

    found = read_uncertainty(path)
    numbers = {**({} if truth is None else judge(found, read_truth(truth))), **found.medians()}
    write_metrics(output, numbers)
    print(f"{output}: " + ", ".join(f"{name} {value:.4g}" for name, value in numbers.items()))


def _check_names(reconstruction, measurement, truth, output, curves) -> None:
    inputs = [path for path in (reconstruction, measurement, truth) if path is not None]
    outputs = [path for path in (output, curves) if path is not None]
    if any(a.exists() and b.exists() and a.samefile(b) for a in inputs for b in outputs):
        raise InputError("an output would replace an input; give it another name")
    if curves is not None and curves.suffix not in (".npz", ".json"):
        raise InputError(f"--curves {curves}: expected a name that ends in .npz or .json")
    if curves is not None and curves.resolve() == output.resolve():
        raise InputError(f"--curves {curves}: metrics and curves need two files")


def _write(output: Path, curves: Path | None, found) -> None:
    """Both files or none."""
    from cdipipe.io.atomic import atomic_path
    from cdipipe.io.metrics_file import write_metrics

    if curves is None:
        return write_metrics(output, found.metrics)
    with atomic_path(curves) as part:
        _write_curves(part, found.curves)
        write_metrics(output, found.metrics)


def _write_curves(path: Path, curves: dict) -> None:
    """Arrays by name; in JSON a ring without a value is null."""
    import json

    import numpy as np

    if path.suffix == ".npz":
        np.savez(path, **curves)
        return
    plain = {name: np.where(np.isfinite(curve), curve, None).tolist() for name, curve in curves.items()}
    path.write_text(json.dumps(plain, allow_nan=False) + "\n", encoding="utf-8")
