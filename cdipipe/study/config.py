"""The configuration of a study: read from its file and checked whole, before anything runs.

Nothing here imports torch: the Snakefile itself reads its file through :func:`load_config`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from cdipipe.errors import InputError
from cdipipe.io.export import EXPORTS
from cdipipe.settings import load_yaml, read_text, unknown_name, validate
from cdipipe.study.entries import CorpusEntry, MeasurementEntry, NetworkEntry
from cdipipe.study.scales import at_scale
from cdipipe.study.tree import Config

FOLDERS = ("data", "logs", "benchmarks", "tables")
"""Beside those of measurements, corpora and networks in a study's output."""


def load_config(path: str | Path) -> Config:
    """Read and check a configuration file, scenes and recipes included.

    Raises
    ------
    InputError   one line that names the file, the key, what was got and what is allowed
    """
    return check_config(load_mapping(path), str(path))


def load_mapping(path: str | Path) -> Any:
    """The plain data of a configuration file, unchecked.

    Raises
    ------
    InputError   not text, or not YAML
    """
    return load_yaml(read_text(path), str(path))


def check_config(mapping: Any, where: str) -> Config:
    """A :class:`Config` from plain data; ``where`` names its file in messages.

    Raises
    ------
    InputError   as :func:`load_config`
    """
    config = validate(Config, at_scale(mapping, where), where)
    _check_parts(config, where)
    return config


def _check_parts(config: Config, where: str) -> None:
    """Every scene, recipe, network and data set of a study; torch is not loaded.

    Raises
    ------
    InputError   one line that names the entry
    """
    _check_folders(config, where)
    for name, corpus in config.corpora.items():
        _check_scene(corpus, f"{where}: corpora.{name}")
    for name, network in config.networks.items():
        _check_network(config, network, f"{where}: networks.{name}")
        _check_start(config, name, f"{where}: networks.{name}.set.start_from")
    for name in config.methods:
        _check_method(config, name, f"{where}: methods.{name}")
    for name, choices in config.tunings.items():
        _check_tuning(config.methods[name], choices.over, f"{where}: methods.{name}.tune")
    for name, entry in config.measurements.items():
        if entry.scene:
            _check_scene(entry, f"{where}: measurements.{name}")
        for kind in entry.export:
            EXPORTS.get(kind, f"{where}: measurements.{name}.export")
        if entry.fetch:
            _check_dataset(entry.fetch, f"{where}: measurements.{name}.fetch")
    _check_metrics(config, where)


def _check_metrics(config: Config, where: str) -> None:
    """Metrics of tables and distributions must exist, and one that ranks must have a better end."""
    from cdipipe.metrics.registry import get_metric

    for name, entry in config.distributions.items():
        place = f"{where}: distributions.{name}.metric"
        if get_metric(entry.metric, place).of == "crystal":
            raise InputError(f"{place}: {entry.metric} is one number of each crystal; a table shows it")
    for name, entry in config.tables.items():
        place = f"{where}: tables.{name}.metric"
        found = [get_metric(metric, place) for metric in entry.metrics]
        bare = sorted({pair[0] for pair in config.pairs_of(entry)} - {pair[0] for pair in config.strained()})
        if bare and any(metric.of == "crystal" for metric in found):
            raise InputError(f"{place}: {entry.metrics[-1]} is told by `strain:`, which measurement {bare[0]} lacks")
        if entry.ranking and any(metric.good is None for metric in found):
            raise InputError(f"{place}: {entry.metrics[-1]} has no better end; a ranking needs one")


def _check_folders(config: Config, where: str) -> None:
    """Measurements, corpora and networks have a folder each."""
    taken = {*config.measurements, *FOLDERS}
    for kind in ("corpora", "networks"):
        for name in getattr(config, kind):
            if name in taken:
                raise InputError(f"{where}: {kind}.{name}: another part of the study has this name")
            taken.add(name)


def _check_scene(entry: MeasurementEntry | CorpusEntry, where: str) -> None:
    from cdipipe.simulation.registry import get_scene

    scene = get_scene(entry.scene, f"{where}.scene")
    validate(scene.parameters, entry.set, f"{where}.set")


def _check_network(config: Config, entry: NetworkEntry, where: str) -> None:
    """The network must exist, take its settings, and be able to learn from its corpus."""
    from cdipipe.io.corpus.plan import Plan
    from cdipipe.networks.registry import get_network
    from cdipipe.simulation.registry import get_scene

    network = get_network(entry.network, f"{where}.network")
    settings = validate(network.settings, entry.set, f"{where}.set")
    if entry.judge is not None and entry.judge not in config.corpora:
        raise unknown_name("corpus", entry.judge, config.corpora, f"{where}.judge")
    if entry.pairs is not None:
        if settings.samples == "fresh":
            raise InputError(f"{where}.set.samples: fresh samples are drawn of a corpus's scene; pairs have none")
        return
    if settings.shares and len(settings.shares) != len(entry.corpora):
        raise InputError(f"{where}.set.shares: expected one for each of {len(entry.corpora)} corpora")
    for name in entry.corpora:
        if name not in config.corpora:
            raise unknown_name("corpus", name, config.corpora, f"{where}.corpus")
        corpus = config.corpora[name]
        parameters = validate(get_scene(corpus.scene).parameters, corpus.set, where).model_dump(mode="json")
        if network.check_corpus is not None:
            network.check_corpus(Plan(corpus.scene, parameters, corpus.seed, corpus.count, corpus.shards, 1), settings)


def _check_start(config: Config, name: str, where: str) -> None:
    """A network starts from one of its own kind, and not from itself."""
    for start in config.starts_of(name):
        if start == name:
            raise InputError(f"{where}: '{name}' would start from itself")
        if config.networks[start].network != config.networks[name].network:
            raise InputError(f"{where}: '{start}' is a network {config.networks[start].network}")


def _check_method(config: Config, name: str, where: str) -> None:
    """The recipe must be one; a network of the study that a step names must be of the kind that it takes."""
    from cdipipe.phasing.recipe import recipe_from_mapping, with_default

    recipe = recipe_from_mapping(with_default(config.methods[name], "restarts", config.restarts), where)
    used = config.network_of(name)
    for step, parameters in recipe.steps if used is not None else ():
        _check_step(step, parameters, used, config.networks[used].network, where)


def _check_step(step: str, parameters: BaseModel, used: str, kind: str, where: str) -> None:
    from cdipipe.phasing.recipe import network_taken_by

    takes = network_taken_by(step, parameters)
    if takes is None or (parameters.checkpoint is None and takes != kind):
        return
    if parameters.checkpoint != used:
        raise InputError(f"{where}: {step}.checkpoint: a method takes one network of the study; expected '{used}'")
    if takes != kind:
        raise InputError(f"{where}: {step}.checkpoint: '{used}' is a network {kind}; expected one of {takes}")


def _check_tuning(recipe: dict[str, Any], over: tuple[str, ...], where: str) -> None:
    from cdipipe.tuning.space import search_space

    try:
        search_space(recipe, over)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _check_dataset(name: str, where: str) -> None:
    from cdipipe.io.datasets import DATASETS

    if name not in DATASETS:
        raise unknown_name("data set", name, DATASETS, where)
