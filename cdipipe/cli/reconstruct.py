"""``cdipipe reconstruct``: measurement and method in, object out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cdipipe.errors import InputError


def command(
    measurement: Annotated[Path, typer.Argument(help="measurement, .cxi")],
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", help="reconstruction to write, .cxi; of several recipes a folder, for NAME/R.cxi"
        ),
    ],
    method: Annotated[str | None, typer.Option("-m", "--method", help="see `cdipipe methods`")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, repeated; see `cdipipe methods NAME`")
    ] = None,
    recipe: Annotated[
        list[str] | None, typer.Option(help="YAML file with a recipe; FILE::key.key for one inside; may be repeated")
    ] = None,
    init: Annotated[Path | None, typer.Option(help="reconstruction to start from")] = None,
    support: Annotated[Path | None, typer.Option(help="support, True inside; any format that `import` reads")] = None,
    restarts: Annotated[int | None, typer.Option(help="random starts; the one of lowest Poisson NLL is kept")] = None,
    seed: Annotated[int, typer.Option(min=0, help="of the random starts")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    checkpoint: Annotated[Path | None, typer.Option(help="network weights, for learned methods")] = None,
    free_fraction: Annotated[float, typer.Option(help="share of the pixels withheld, for the free R-factor")] = 0.0,
    free_block_px: Annotated[
        int, typer.Option(help="side of the blocks that are withheld; 1: single pixels, 0: about a speckle")
    ] = 1,
    keep_runs: Annotated[bool, typer.Option("--keep-runs", help="store every restart")] = False,
    preview: Annotated[Path | None, typer.Option(help="PNG that is redrawn while the method runs")] = None,
) -> None:
    """Reconstruct the object behind a measurement; with several recipes one after another, as if each were alone."""
    jobs = []
    for reference, place in _places(recipe or [], output):
        jobs.append((_recipe(method, reference, settings or [], restarts, checkpoint), place))
    if preview is not None and len(jobs) > 1:
        raise InputError(f"--preview {preview}: shows one reconstruction; there are {len(jobs)} recipes")

    import sys
    import time
    from dataclasses import replace

    from cdipipe.cli.imports import quick_imports

    with quick_imports():
        from cdipipe.io.atomic import check_output
        from cdipipe.io.cxi import read_measurement, write_reconstruction
        from cdipipe.io.pieces import kept_beside
        from cdipipe.ops.device import choose_device
        from cdipipe.phasing.preview import preview_writer
        from cdipipe.phasing.reconstruct import reconstruct
        from cdipipe.provenance import collect

    for chosen, place in jobs:
        if len(jobs) > 1:
            place.parent.mkdir(parents=True, exist_ok=True)
        check_output(place)
        if any(
            path.exists() and place.exists() and path.samefile(place)
            for path in _files(measurement, init, support, chosen)
        ):
            raise InputError(f"{place}: the output would replace an input; give it another name")
    began, data, where = time.perf_counter(), read_measurement(measurement), choose_device(device)
    for chosen, place in jobs:
        inputs = _files(measurement, init, support, chosen)
        asked = [chosen.to_mapping(), seed, where, free_fraction, free_block_px, keep_runs]
        with kept_beside(place, lambda a=asked, f=[*inputs, *_shipped(chosen)]: _key(a, f, where)) as pieces:
            try:
                result = reconstruct(
                    data,
                    chosen,
                    seed=seed,
                    device=where,
                    start=_start(init, support),
                    free_fraction=free_fraction,
                    free_block_px=free_block_px,
                    keep_runs=keep_runs,
                    preview=None if preview is None else preview_writer(preview),
                    pieces=pieces if data.pattern_count > 1 else None,
                )
                write_reconstruction(place, replace(result, provenance=collect(inputs)))
            except KeyboardInterrupt:
                if not pieces.begun:
                    raise
                print(f"cdipipe: stopped by Ctrl-C; the same command goes on with {place}", file=sys.stderr)
                raise SystemExit(130) from None
        print(_summary(place, result, time.perf_counter() - began) + _brief(chosen) + _choice(result), flush=True)
        began = time.perf_counter()


def _places(recipes: list[str], output: Path) -> list[tuple[str | None, Path]]:
    """Each recipe with the file that its result goes to; of several NAME/R.cxi in the output's folder."""
    if len(recipes) <= 1:
        return [(recipes[0] if recipes else None, output)]
    if output.suffix == ".cxi":
        raise InputError(f"-o {output}: one reconstruction; for {len(recipes)} recipes give a folder")
    names = [_name_of(recipe) for recipe in recipes]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"--recipe: two are called {twice[0]!r}; in a folder each needs a name of its own")
    return [(recipe, output / name / "R.cxi") for recipe, name in zip(recipes, names, strict=True)]


def _name_of(recipe: str) -> str:
    """Last key of FILE::key.key, or the file's name without its ending."""
    file, _, dotted = recipe.partition("::")
    return dotted.rpartition(".")[2] or Path(file).stem


def _files(measurement, init, support, recipe) -> list[Path]:
    """The files that a reconstruction is made from."""
    return [path for path in (measurement, init, support, *_weights(recipe)) if path is not None]


def _key(asked: list, inputs: list[Path], device: str) -> str:
    """Digest of all that decides the result: what was asked for, the files, the code and the libraries."""
    import hashlib
    import json

    from cdipipe.ops import backend
    from cdipipe.provenance import code_digest, file_sha256, versions

    kernels = backend.describe().get("file")
    files = [file_sha256(path) for path in [*inputs, *([kernels] if kernels else [])]]
    content = [asked, files, code_digest(), versions(), backend.name(device)]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _recipe(method, recipe, settings, restarts, checkpoint):
    """The recipe of the command's options: --recipe or -m, with --set, --restarts and --checkpoint over it."""
    from cdipipe.phasing.recipe import recipe_from_mapping

    return recipe_from_mapping(recipe_mapping(method, recipe, settings, restarts, checkpoint), recipe or method)


def recipe_mapping(method, recipe, settings, restarts, checkpoint) -> dict:
    """The same as plain data.

    Raises
    ------
    InputError   both or neither of --recipe and -m, what cannot be read, or a checkpoint for nothing
    """
    from cdipipe.settings import merge, parse_settings

    if (method is None) == (recipe is None):
        raise InputError("give either -m METHOD or --recipe FILE" + ("" if method is None else ", not both"))
    mapping = {"method": method} if recipe is None else load_recipe(recipe)
    mapping = merge(mapping, parse_settings(settings))
    if restarts is not None:
        mapping["restarts"] = restarts
    return mapping if checkpoint is None else _with_checkpoint(mapping, checkpoint, recipe or method)


def _with_checkpoint(mapping: dict, checkpoint: Path, where: str) -> dict:
    """The recipe with this file for every step that is a network."""
    from cdipipe.phasing.recipe import recipe_from_mapping
    from cdipipe.tuning.space import with_settings

    found = recipe_from_mapping(mapping, where)
    networks = [(number, name) for number, (name, p) in enumerate(found.steps) if hasattr(p, "checkpoint")]
    if not networks:
        raise InputError(f"--checkpoint: {found.name} has no weights to load")
    keys = [f"steps.{number}.{name}.checkpoint" if "steps" in mapping else "checkpoint" for number, name in networks]
    return with_settings(mapping, dict.fromkeys(keys, str(checkpoint)))


def _weights(recipe) -> list[Path]:
    """Checkpoints that a recipe names, which belong to the provenance."""
    named = (getattr(parameters, "checkpoint", None) for _, parameters in recipe.steps)
    return [path for name in named if name is not None and (path := Path(name).expanduser()).is_file()]


def _shipped(recipe) -> list[Path]:
    """Weights of the package that a recipe may use."""
    from cdipipe.networks.registry import get_network
    from cdipipe.phasing.recipe import network_taken_by

    names = [network_taken_by(step, p) for step, p in recipe.steps if getattr(p, "checkpoint", "") is None]
    networks = [get_network(name) for name in names if name]
    return [path for network in networks for path in (network.weights, *network.other_weights) if path is not None]


def load_recipe(reference: str) -> dict:
    """The mapping that ``FILE`` or ``FILE::key.key`` names.

    Raises
    ------
    InputError   no such file or key, or not YAML
    """
    from cdipipe.settings import load_yaml, read_text
    from cdipipe.study.scales import at_scale

    file, _, dotted = reference.partition("::")
    text = read_text(file)
    mapping = at_scale(load_yaml(text, file), file) if dotted else load_yaml(text, file)
    for key in dotted.split(".") if dotted else []:
        if not isinstance(mapping, dict) or key not in mapping:
            known = ", ".join(map(str, mapping)) if isinstance(mapping, dict) else "nothing"
            raise InputError(f"{file}: no key '{key}' on the way to '{dotted}'; there is {known}")
        mapping = mapping[key]
    if not isinstance(mapping, dict):
        raise InputError(f"{reference}: expected a mapping such as {{method: hio, iterations: 400}}")
    return mapping


def _start(init, support):
    from cdipipe.io.cxi import read_reconstruction
    from cdipipe.phasing.starts import Start

    result, mask = None if init is None else read_reconstruction(init), None
    if support is not None:
        from cdipipe.io.importing.formats import read_support

        mask = read_support(support)
    if result is not None and mask is None:
        mask = result.support
    return Start(None if result is None else result.object, mask)


def _brief(recipe) -> str:
    """The recipe in words, where one of its methods asks for that."""
    steps = [parameters.brief() for _, parameters in recipe.steps]
    if not any(steps):
        return ""
    words = [text or name for text, (name, _) in zip(steps, recipe.steps, strict=True)]
    runs = f"mean of best {recipe.average_best} of {recipe.restarts} starts"
    return f"; {' -> '.join(words)}; {recipe.constraint}; {runs}, of last {max(recipe.average_last, 1)} iterates"


def _choice(result) -> str:
    """What was chosen and why, where the method chooses."""
    return "" if result.choice is None else f"; {result.choice['because']}"


def _summary(output, result, seconds) -> str:
    """One line; the rate of a stack is from file to file."""
    import numpy as np

    r_factor = result.run_scores["r_factor"]
    blank = int(np.isnan(r_factor).sum())
    count = len(result.object) if result.stack in ("shots", "movie") else 1
    best = f"median R-factor {np.nanmedian(r_factor):.4f}" if count > 1 else f"R-factor {r_factor[0]:.4f}"
    rate = f", {count / seconds:.2f} patterns/s from file to file" if count > 1 else ""
    kept = result.recipe.get("kept_shots")
    if kept is not None:
        rate += f", {kept} of {count} shots kept ({result.recipe['keep_shots']})"
    elif blank:
        rate += f", {blank} without photons left blank"
    return f"{output}: {result.method}, {best}, {result.seconds:.1f} s{rate}, {result.backend}"
