"""``cdipipe tune``: settings of a method for one measurement, chosen by what is withheld and what repeats."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cdipipe.errors import InputError


def command(
    measurement: Annotated[Path, typer.Argument(help="measurement, .cxi")],
    output: Annotated[Path, typer.Option("-o", "--output", help="recipe to write, .yaml; trials are kept beside it")],
    method: Annotated[str | None, typer.Option("-m", "--method", help="see `cdipipe methods`")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, repeated; what is set stays and is not searched")
    ] = None,
    recipe: Annotated[str | None, typer.Option(help="YAML file with a recipe; FILE::key.key for one inside")] = None,
    restarts: Annotated[int | None, typer.Option(help="random starts of every reconstruction")] = None,
    budget: Annotated[int | None, typer.Option(help="reconstructions in all; not given: 120")] = None,
    over: Annotated[str, typer.Option(help="keys to search, joined by commas; not given: all with a range")] = "",
    sets: Annotated[int | None, typer.Option(help="sets of withheld pixels of every trial; not given: 3")] = None,
    fresh_sets: Annotated[int | None, typer.Option(help="other sets, that confirm the choice; not given: 5")] = None,
    finalists: Annotated[int | None, typer.Option(help="best trials that meet the default; not given: 5")] = None,
    free_fraction: Annotated[float | None, typer.Option(help="share of the pixels in a set; not given: 0.06")] = None,
    seed: Annotated[int, typer.Option(min=0, help="that of the reconstruction that the settings are for")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    picture: Annotated[Path | None, typer.Option(help="what was tried, as a figure: .png, .svg or .pdf")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="network weights, for learned methods")] = None,
) -> None:
    """Choose settings of a method for a measurement by withheld pixels and repeatability, never by a truth.

    The same command goes on where it was stopped. `reconstruct --recipe` takes what it writes, with the same seed.
    """
    from cdipipe.cli.reconstruct import recipe_mapping
    from cdipipe.io.atomic import check_output
    from cdipipe.settings import validate
    from cdipipe.tuning.choices import TuneChoices
    from cdipipe.tuning.space import search_space

    mapping = recipe_mapping(method, recipe, settings or [], restarts, checkpoint)
    keys = [key.strip() for key in over.split(",") if key.strip()]
    asked = {"budget": budget, "sets": sets, "fresh_sets": fresh_sets, "finalists": finalists, "over": keys}
    asked["free_fraction"] = free_fraction
    choices = validate(TuneChoices, {key: value for key, value in asked.items() if value not in (None, [])}, "tune")
    search_space(mapping, choices.over)
    check_output(output)
    if output.suffix not in (".yaml", ".yml"):
        raise InputError(f"{output}: expected a name that ends in .yaml")
    if picture is not None:
        from cdipipe.figures.canvas import check_figure_path

        check_figure_path(picture)

    from cdipipe.io.cxi import read_measurement
    from cdipipe.ops.device import choose_device
    from cdipipe.progress import progress
    from cdipipe.tuning.files import journal_of, write_tuned
    from cdipipe.tuning.tune import tune

    with progress(choices.trials, f"tune {method or recipe}") as bar:
        found = tune(
            read_measurement(measurement),
            mapping,
            choices,
            journal_of(output),
            seed=seed,
            device=choose_device(device),
            told=lambda count: bar.update(count - bar.count),
        )
    write_tuned(output, found, [measurement, *([] if checkpoint is None else [checkpoint])])
    if picture is not None:
        _draw(picture, found)
    changed = ", ".join(f"{key} {_shown(found.defaults[key])} -> {_shown(new)}" for key, new in found.settings.items())
    print(f"{output}: {found.verdict}" + (f": {changed}" if changed else ""))


def _draw(picture: Path, found) -> None:
    from cdipipe.figures.canvas import save_figure
    from cdipipe.figures.tuning import tuning_figure
    from cdipipe.provenance import collect

    save_figure(tuning_figure(found.record()), picture, collect()["command"])


def _shown(value) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
