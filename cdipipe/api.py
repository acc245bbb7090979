"""The face for Python: what the command line does, in a notebook or a script.

::

    import cdipipe as cdi

    m = cdi.load("M.cxi")                       # or cdi.simulate("polygons", seed=1, size=128)
    r = cdi.reconstruct(m, "raar", restarts=8)  # a name, a recipe's text, or a mapping
    print(cdi.evaluate(r, m))
    cdi.plot(r, m)

All functions raise :class:`cdipipe.InputError` where the command line prints one line and ends with code 2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from cdipipe.errors import InputError
from cdipipe.measurement import Measurement, Reconstruction, Truth

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from cdipipe.metrics.evaluate import Evaluation
    from cdipipe.phasing.recipe import Recipe

Record = Measurement | Reconstruction | Truth


def load(path: str | Path, **options: Any) -> Record:
    """Read a file: a CXI file of cdipipe, or any file that ``cdipipe import`` takes.

    Parameters
    ----------
    path : file name, or ``FILE::KEY`` for an array inside a file
    **options : those of ``cdipipe import`` with underscores, for example ``stack="volume"``, ``crop=256``,
        ``mask="bad.npy"``; given any, the file is always imported as counts

    Returns
    -------
    Measurement, Reconstruction or Truth, by what the file holds

    Raises
    ------
    InputError   the file is not there, is damaged, or does not say enough; the message says what to give
    """
    from cdipipe.io.cxi import read_measurement, read_reconstruction, read_truth

    readers: dict[str, Callable[[Path], Record]]
    readers = {"measurement": read_measurement, "reconstruction": read_reconstruction, "truth": read_truth}
    try:
        kind = None if options else _kind(Path(path).expanduser())
        return _import(path, options) if kind is None else readers[kind](Path(path).expanduser())
    except OSError as error:
        raise InputError(f"{error.filename or path}: {error.strerror or error}") from error


def _kind(path: Path) -> str | None:
    """What a CXI file of cdipipe holds; None for other files."""
    from cdipipe.io.cxi.layout import read_kind
    from cdipipe.io.hdf5 import open_source

    if path.suffix != ".cxi":
        return None
    with open_source(path) as source:
        return read_kind(source)


def _import(path: str | Path, options: Mapping[str, Any]) -> Measurement:
    from cdipipe.io.importing.assemble import import_files
    from cdipipe.io.importing.options import ImportOptions
    from cdipipe.metrics.keep_shots import keep_of_import
    from cdipipe.settings import validate

    chosen = validate(ImportOptions, options, "load")
    measurement, account = import_files([str(path)], chosen)
    measurement = keep_of_import(measurement, chosen.keep_shots, account)
    return replace(measurement, provenance={"import": account.record()})


def save(path: str | Path, record: Record) -> None:
    """Write a measurement, a reconstruction or a truth into a CXI file, whole or not at all.

    Parameters
    ----------
    path : file name that ends in .cxi
    record : what to write

    Raises
    ------
    InputError   the name does not end in .cxi, or the record is something else
    """
    from cdipipe.io.cxi import write_measurement, write_reconstruction, write_truth

    if Path(path).suffix != ".cxi":
        raise InputError(f"{path}: cdipipe writes .cxi files; `cdipipe export` makes other formats of them")
    writers: dict[type, Callable[..., Any]] = {
        Measurement: write_measurement,
        Reconstruction: write_reconstruction,
        Truth: write_truth,
    }
    writer = writers.get(type(record))
    if writer is None:
        raise InputError(f"save: expected a Measurement, Reconstruction or Truth; got {type(record).__name__}")
    writer(Path(path).expanduser(), record)


@overload
def simulate(  # numpydoc ignore=GL08
    scene: str, *, seed: int = 0, with_truth: Literal[False] = False, **settings: Any
) -> Measurement: ...


@overload
def simulate(  # numpydoc ignore=GL08
    scene: str, *, seed: int = 0, with_truth: Literal[True], **settings: Any
) -> tuple[Measurement, Truth]: ...


def simulate(
    scene: str, *, seed: int = 0, with_truth: bool = False, **settings: Any
) -> Measurement | tuple[Measurement, Truth]:
    """Simulate a measurement: draw the object, scale it to photons, transform, count.

    Parameters
    ----------
    scene : see ``cdipipe scenes``
    seed : sample i depends on the settings, the seed and i alone
    with_truth : also return the true object, for :func:`evaluate` and :func:`plot`
    **settings : of the scene, such as ``size=128, photons=1e6``; see ``cdipipe scenes NAME``

    Returns
    -------
    Measurement in photons; with ``with_truth`` (Measurement, Truth)

    Raises
    ------
    InputError   an unknown scene or setting, or a value that is not allowed
    """
    from cdipipe.progress import progress
    from cdipipe.settings import validate
    from cdipipe.simulation import exposure
    from cdipipe.simulation.registry import get_scene

    found = get_scene(scene)
    parameters = validate(found.parameters, settings, found.name)
    measurement, truth = exposure.simulate(found, parameters, seed, lambda items: progress(items, f"simulate {scene}"))
    return (measurement, truth) if with_truth else measurement


def reconstruct(
    measurement: Measurement,
    recipe: str | Mapping[str, Any] | Recipe = "guided",
    *,
    seed: int = 0,
    device: str = "auto",
    start: Reconstruction | np.ndarray | None = None,
    support: np.ndarray | None = None,
    free_fraction: float = 0.0,
    free_block_px: int = 1,
    keep_runs: bool = False,
    **settings: Any,
) -> Reconstruction:
    """Phase every pattern of a measurement.

    Parameters
    ----------
    measurement : Measurement
    recipe : the name of a method (see ``cdipipe methods``), a sequence such as ``"3*(20*ER+180*HIO)+20*ER"``, a
        recipe in YAML, or a mapping such as ``{"method": "hio", "beta": 0.8}``
    seed : random starts; start i of pattern n depends on (seed, n, i) alone
    device : ``auto``, ``cpu`` or ``cuda``
    start : a result to go on from, or its object, complex, of the shape of a pattern or of the measurement
    support : bool, of the shape of a pattern or of the measurement; True inside
    free_fraction : share of the measured pixels that is withheld, for the free R-factor and the free likelihood
    free_block_px : side of the blocks in which they are withheld; 1: single pixels, 0: about a speckle
    keep_runs : keep every restart, aligned to the best
    **settings : over those of the recipe: ``restarts=8, iterations=500, beta=0.9``

    Returns
    -------
    Reconstruction on the measurement's grid; sum |object|^2 is in photons

    Raises
    ------
    InputError   a recipe, setting or start that does not fit, or a measurement that lacks what the method needs
    """
    from cdipipe.ops.device import choose_device
    from cdipipe.phasing import reconstruct as phasing

    if not isinstance(measurement, Measurement):
        raise InputError(f"reconstruct: expected a Measurement first; got {type(measurement).__name__}")
    begin_object = start.object if isinstance(start, Reconstruction) else start
    if support is None and isinstance(start, Reconstruction):
        support = start.support
    return phasing.reconstruct(
        measurement,
        _recipe(recipe, settings),
        seed=seed,
        device=choose_device(device),
        start=phasing.Start(begin_object, support),
        free_fraction=free_fraction,
        free_block_px=free_block_px,
        keep_runs=keep_runs,
    )


def _recipe(recipe: str | Mapping[str, Any] | Recipe, settings: Mapping[str, Any]) -> Recipe:
    """The recipe of a name, a sequence, YAML text or a mapping, with settings over it."""
    from cdipipe.phasing.recipe import Recipe, recipe_from_mapping
    from cdipipe.settings import load_yaml, merge

    if isinstance(recipe, Recipe):
        if settings:
            raise InputError("reconstruct: settings go into a Recipe before it is made; or give its mapping instead")
        return recipe
    mapping: Any = recipe
    if isinstance(recipe, str):
        if ":" in recipe or "{" in recipe:
            mapping = load_yaml(recipe, "recipe")
        else:
            mapping = {"sequence" if "*" in recipe else "method": recipe}
    return recipe_from_mapping(merge(mapping, settings) if isinstance(mapping, Mapping) else mapping, "recipe")


def evaluate(reconstruction: Reconstruction, measurement: Measurement, truth: Truth | None = None) -> Evaluation:
    """Judge a reconstruction by its measurement, by its own runs, and by the truth where there is one.

    Parameters
    ----------
    reconstruction, measurement, truth : of the same shape and stack

    Returns
    -------
    Evaluation with ``metrics`` (name to number; see the guide's page on metrics) and ``curves``; prints as a table

    Raises
    ------
    InputError   shapes or stacks differ
    """
    from cdipipe.metrics import evaluate as metrics
    from cdipipe.progress import progress

    return metrics.evaluate(reconstruction, measurement, truth, progress=lambda items: progress(items, "evaluate"))


def plot(
    record: Measurement | Reconstruction | Mapping[str, Reconstruction],
    measurement: Measurement | None = None,
    truth: Truth | None = None,
    path: str | Path | None = None,
) -> Figure:
    """Draw a measurement, a reconstruction, or several reconstructions by name side by side.

    Parameters
    ----------
    record : what to draw
    measurement : pattern to show beside a reconstruction
    truth : simulated object to show beside
    path : also write the figure, .png, .svg or .pdf

    Returns
    -------
    matplotlib Figure, which a notebook shows

    Raises
    ------
    InputError   something that cannot be drawn, objects of different shapes, or a name of another format
    """
    from cdipipe import figures

    if isinstance(record, Mapping):
        figure = figures.comparison_figure(list(record.items()), truth)
    elif isinstance(record, Measurement):
        figure = figures.pattern_figure(record)
    elif isinstance(record, Reconstruction):
        figure = figures.object_figure(record, measurement, truth)
    else:
        raise InputError(f"plot: expected a Measurement or Reconstruction; got {type(record).__name__}")
    if path is not None:
        figures.save_figure(figure, path)
    return figure


def html_of(record: Record) -> str:
    """What a notebook shows of a record: one line of text and a small picture.

    Parameters
    ----------
    record : Measurement, Reconstruction or Truth
    """
    import base64
    import html
    import io

    from cdipipe import figures

    shown = record
    if isinstance(record, Truth):
        shown = Reconstruction(record.object, record.support, record.stack, "truth", geometry=record.geometry)
    figure = plot(shown)  # type: ignore[arg-type]
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=figures.canvas.DOTS_PER_INCH)
    picture = base64.b64encode(buffer.getvalue()).decode()
    return f'<p><code>{html.escape(repr(record))}</code></p><img src="data:image/png;base64,{picture}">'
