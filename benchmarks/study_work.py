"""How much work the jobs of a study are, counted before they run: what measured rates are multiplied with.

Units of a reconstruction are patterns x pixels x restarts x iterations, of a training samples x epochs x operations of
one forward pass (multiplications and additions, counted by torch), of everything else patterns x pixels.
"""

from __future__ import annotations

import contextlib
import functools
import json
from pathlib import Path

from common import ROOT

from cdipipe.study.config import Config, load_config, load_mapping
from cdipipe.study.scales import at_scale
from cdipipe.study.sizes import patterns_of, recipe_of


def study_files() -> dict[str, Path]:
    """Name -> file of every study that says what it is at the scale of the papers."""
    files = sorted((ROOT / "config").rglob("*.yaml"))
    return {file.stem: file for file in files if "paper" in load_mapping(file).get("scales", {})}


def units_of(study: Config) -> dict[str, dict[float, int]]:
    """kind -> units of one job -> such jobs."""
    found: dict[str, dict[float, int]] = {}
    for kind, units, _ in jobs_of(study):
        entry = found.setdefault(kind, {})
        entry[units] = entry.get(units, 0) + 1
    return found


def jobs_of(study: Config):
    """(kind, units, name of its benchmark file) of every job that is more than a picture of the whole study."""
    for name in study.used():
        yield "measure", patterns_of(study.measurements[name]).pixels, f"{name}.simulate"
    for measurement, method in study.pairs():
        patterns = patterns_of(study.measurements[measurement])
        _, runs, iterations = recipe_of(study, method)
        units = patterns.pixels * runs * iterations
        yield kind_of(study, measurement, method), units, f"{measurement}.{method}.reconstruct"
        kept = runs if study.keep_runs else 1
        yield "evaluate", patterns.pixels * kept, f"{measurement}.{method}.evaluate"
        yield "plot", patterns.pixels, f"{measurement}.{method}.plot"
    for name in study.trained():
        entry = study.networks[name]
        yield f"train {entry.network}", training_units(study, name), f"{name}.train"
    for name in study.built():
        entry = study.corpora[name]
        for shard in range(entry.shards):
            yield f"corpus {entry.scene}", corpus_units(entry) / entry.shards, f"{name}.{shard:04d}"


def kind_of(study: Config, measurement: str, method: str) -> str:
    """Names of the steps with the settings that change the cost of an iteration, and dimensions; ``+t`` of a movie."""
    entry, given = study.measurements[measurement], study.methods[method]
    marks = [f":{given[name]}" for name in ("start", "depth") if isinstance(given.get(name), (str, int))]
    key = recipe_of(study, method)[0] + "".join(marks)
    return f"{key} {patterns_of(entry).ndim}D" + "+t" * entry.is_movie


def corpus_units(entry) -> float:
    """Pixels of all samples; of crystals, whose atoms are relaxed, nm^3 of the blocks that they are cut from."""
    if entry.scene == "crystal":
        return entry.count * entry.set.get("block_nm", 8.0) ** 3
    return patterns_of(entry, entry.count).pixels


def training_units(study: Config, name: str) -> float:
    """Samples x epochs over all stages x operations of one forward pass."""
    from cdipipe.networks.registry import get_network
    from cdipipe.settings import validate

    entry = study.networks[name]
    network = get_network(entry.network)
    settings = validate(network.settings, entry.set, name)
    epochs = sum(stage.epochs or settings.epochs for stage in network.stages(settings))
    corpora = [study.corpora[corpus] for corpus in entry.corpora]
    samples = [patterns_of(corpus, corpus.count) for corpus in corpora]
    passes = epochs * sum(one.count for one in samples) * (2 if settings.asam_rho else 1)
    return passes * operations(entry.network, settings.network.model_dump_json(), samples[0].size, samples[0].ndim)


@functools.cache
def operations(network: str, settings: str, size: int, ndim: int) -> float:
    """Multiplications and additions of one forward pass of one sample."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from cdipipe.networks.registry import get_network

    found = get_network(network)
    plain = found.settings.model_validate({"network": json.loads(settings)}).network
    # volumes, and iterations in place by compiled kernels, want numbers
    shapes_alone = ndim == 2 and network != "unrolled"
    with _fake() if shapes_alone else contextlib.nullcontext(), torch.no_grad():
        module, grid = found.build(plain).eval(), (1, *(size,) * ndim)
        with FlopCounterMode(display=False) as counter:
            found.apply(module, plain, torch.ones(grid), torch.ones(grid, dtype=torch.bool))
    return float(counter.get_total_flops())


@functools.cache
def _fake():
    """Shapes without numbers; one mode for all, since modules keep tensors between calls."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    return FakeTensorMode(allow_non_fake_inputs=True)


def study_at(file: Path, scale: str | None) -> Config:
    """A study at one of its scales, checked."""
    if scale is None:
        return load_config(file)
    mapping = at_scale(load_mapping(file), str(file), scale)
    return Config.model_validate({key: value for key, value in mapping.items() if key not in ("scales", "scale")})
