"""Processor seconds per unit of work of every kind of job that the studies have, one pattern or a few samples of each.

    python benchmarks/study_rates.py [--only hio,train]

Every method runs as the studies' scale laptop has it, on one pattern of at most 128 x 128 or 32 x 32 x 32 pixels and
one start (of movies five frames), every network for one epoch of a few samples. Times are of the process, so they hold
on a busy computer, too, as far as caches are not shared. Units are those of benchmarks/study_work.py.
"""

from __future__ import annotations

import copy
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import study_work
from common import RESULTS, machine, parser_of, processor_seconds, write

import cdipipe as cdi
from cdipipe.errors import InputError
from cdipipe.study.config import Config
from cdipipe.study.sizes import patterns_of

LARGEST = {2: 128, 3: 32}
FRAMES = 5
SAMPLES, EPOCHS = {"cdi_nn": 256, "cdi_nn_3d": 8, "dpr": 16}, {"cdi_nn": 9, "cdi_nn_3d": 3, "dpr": 3}
SHORT = {"pid3net 2D": {"iterations": 1}, "dip 3D": {"iterations": 10}}
PLAIN = {
    2: {"scene": "polygons", "set": {"size": 128, "photons": 1e6}},
    3: {"scene": "polygons", "set": {"size": 32, "dimensions": 3}},
}


def representatives() -> dict[str, tuple[Config, str, str]]:
    """kind of reconstruction -> study, measurement, method, of the largest patterns; corpora and networks by name."""
    found: dict[str, tuple] = {}
    for file in study_work.study_files().values():
        study = study_work.study_at(file, "laptop")
        for measurement, method in study.pairs():
            patterns = patterns_of(study.measurements[measurement])
            kind = study_work.kind_of(study, measurement, method)
            size = min(patterns.size, LARGEST[patterns.ndim])
            if kind not in found or size > found[kind][0]:
                found[kind] = (size, study, measurement, method)
    return {kind: entry[1:] for kind, entry in found.items()}


def rate_of_method(study: Config, measurement: str, method: str, changes: dict) -> dict:
    """One start of one pattern, or of a few frames; with a network of the study as it is after an epoch."""
    from cdipipe.phasing.plan import count_iterations
    from cdipipe.phasing.recipe import recipe_from_mapping
    from cdipipe.simulation.registry import get_scene

    ndim = patterns_of(study.measurements[measurement]).ndim
    entry = study.measurements[measurement].model_dump(exclude_defaults=True)
    entry = copy.deepcopy(PLAIN[ndim] if entry.get("scene") in (None, "crystal") else entry)
    settings = entry.get("set", {})
    known = get_scene(entry["scene"]).parameters.model_fields
    settings |= {"size": min(settings.get("size", LARGEST[ndim]), LARGEST[ndim])}
    settings |= {name: few for name, few in (("count", 1), ("frames", FRAMES)) if name in known}
    if study.measurements[measurement].is_movie is False and "frames" in settings:
        settings["frames"] = 1
    shown = cdi.simulate(entry["scene"], seed=1, **settings)
    mapping = {**study.methods[method], "restarts": 1, "average_best": 1, **changes}
    with tempfile.TemporaryDirectory() as folder:
        recipe = recipe_from_mapping(with_weights(mapping, study, Path(folder)), method)
        seconds = processor_seconds(lambda: cdi.reconstruct(shown, recipe, seed=1, device="cpu"))[1]
    units = shown.intensity.size * count_iterations(recipe)
    return {"units": units, "inside_s": seconds, "on": f"{entry['scene']} {list(shown.intensity.shape)}"}


def with_weights(mapping, study: Config, folder: Path):
    """The same, where names of the study's networks are files of weights."""
    if isinstance(mapping, list):
        return [with_weights(value, study, folder) for value in mapping]
    if not isinstance(mapping, dict):
        return mapping
    changed = {key: with_weights(value, study, folder) for key, value in mapping.items()}
    name = mapping.get("checkpoint")
    if name in study.networks:
        train(build(study, name, folder), name, folder / f"run_{name}", epochs=1)
        changed["checkpoint"] = str(folder / f"run_{name}" / "best.pt")
    return changed


def rate_of_training(study: Config, name: str, folder: Path) -> dict:
    """A few epochs on a few samples, less one epoch on them; what comes first costs once."""
    few = build(study, name, folder)
    seconds, units = [], []
    for turn, epochs in enumerate((1, 1, EPOCHS[study.networks[name].network])):
        trained, spent = processor_seconds(lambda t=turn, e=epochs: train(few, name, folder / f"run_{name}_{t}", e))
        seconds.append(spent)
        units.append(study_work.training_units(trained, name))
    on = f"{name}, {SAMPLES[study.networks[name].network]} samples"
    return {"units": units[2] - units[1], "inside_s": seconds[2] - seconds[1], "on": on}


def build(study: Config, name: str, folder: Path) -> Config:
    """The study with a few samples for a network, which are built."""
    entry = study.networks[name]
    corpus = study.corpora[entry.corpus]
    if corpus.scene == "crystal":  # of the same shape, and nothing to wait for
        corpus = corpus.model_copy(update={"scene": "polygons", "set": {"size": 32, "dimensions": 3, "photons": 0}})
    corpus = corpus.model_copy(update={"count": SAMPLES[entry.network], "shards": 1})
    run("corpus", *corpus.options(), "-o", folder / name)
    return study.model_copy(update={"corpora": {entry.corpus: corpus}})


def train(study: Config, name: str, output: Path, epochs: int) -> Config:
    """Train a network of :func:`build` on the samples beside ``output``; the study as it was trained."""
    entry = study.networks[name]
    short = {"epochs": epochs} | ({"stage_epochs": [epochs] * 4} if "stage_epochs" in entry.set else {})
    network = entry.model_copy(update={"set": entry.set | short})
    run("train", *network.options(), "--corpus", output.parent / name, "-o", output, "--device=cpu")
    return study.model_copy(update={"networks": {name: network}})


def rate_of_corpus(study: Config, name: str, folder: Path) -> dict:
    """Some samples less a few; of crystals, what relaxing them took when it was measured."""
    entry = study.corpora[name]
    if entry.scene == "crystal":
        found = json.loads((RESULTS / "crystals.json").read_text())
        units = study_work.corpus_units(
            entry.model_copy(update={"count": 1, "set": found["parameters"] | {"size": 32}})
        )
        return {"units": units, "inside_s": found["cpu_s_per_crystal"], "on": "crystals.json"}
    seconds, counts = [], (8, 8, 136)
    for turn, count in enumerate(counts):
        few = entry.model_copy(update={"count": count, "shards": 1})
        words = ("corpus", *few.options(), "-o", folder / f"corpus_{name}_{turn}")
        seconds.append(processor_seconds(lambda w=words: run(*w))[1])
    units = study_work.corpus_units(entry.model_copy(update={"count": counts[2] - counts[1]}))
    return {"units": units, "inside_s": seconds[2] - seconds[1], "on": f"{counts[2] - counts[1]} samples"}


def starts(folder: Path) -> dict[str, dict]:
    """Commands as the workflow runs them, on one and on 33 patterns: what they cost anyway, and for every pixel."""
    spent: dict[str, list[float]] = {}
    for count in (1, 33):
        m, t, r = (folder / f"{name}{count}.cxi" for name in "mtr")
        scene = ["--set=size=128", "--set=photons=1e6", f"--set=count={count}"]
        commands = {
            "measure": ["simulate", "polygons", "-o", m, "--truth", t, *scene],
            "reconstruct": ["reconstruct", m, "-m", "er", "--set=iterations=1", "-o", r],
            "evaluate": ["evaluate", r, "--measurement", m, "--truth", t, "-o", folder / "j.json"],
            "plot": ["plot", r, "--measurement", m, "--truth", t, "-o", folder / "p.png"],
        }
        for name, words in commands.items():
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(
                [sys.executable, "-m", "cdipipe.cli.main", *map(str, words)], check=True, stdout=subprocess.DEVNULL
            )
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            spent.setdefault(name, []).append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    pixels = 128**2
    grows = {name: max(many - one, 0.0) / 32 for name, (one, many) in spent.items()}
    return {
        name: {
            "units": pixels,
            "inside_s": grows[name],
            "start_s": one - grows[name],
            "on": "polygons [1 and 33, 128, 128]",
        }
        for name, (one, _) in spent.items()
    }


def run(*words) -> None:
    from cdipipe.cli.main import run as cdipipe

    assert cdipipe([str(word) for word in words]) == 0, words


def measure(wanted: list[str], output: Path | None) -> None:
    """All kinds, each written as soon as it is known."""
    file = output or RESULTS / "study_rates.json"
    found: dict[str, dict] = json.loads(file.read_text())["rates"] if wanted and file.exists() else {}

    def put(kind, work):
        if wanted and not any(word in kind for word in wanted):
            return
        try:
            found[kind] = work() | {"cpu": machine()["cpu"]}
        except InputError as error:  # no measured data, for example; the table names kinds without a rate
            found[kind] = {"error": str(error)}
        print(kind, found[kind], flush=True)
        write("study_rates", {"rates": found}, output)

    for kind, (study, measurement, method) in sorted(representatives().items()):
        put(kind, lambda s=study, m=measurement, r=method, k=kind: rate_of_method(s, m, r, SHORT.get(k, {})))
    with tempfile.TemporaryDirectory() as folder:
        if not wanted or "starts" in wanted:
            found |= starts(Path(folder))
            write("study_rates", {"rates": found}, output)
        for file in study_work.study_files().values():
            study = study_work.study_at(file, "laptop")
            for name in list(study.built())[:1]:
                put(f"corpus {study.corpora[name].scene}", lambda s=study, n=name: rate_of_corpus(s, n, Path(folder)))
            for name in list(study.trained())[:1]:
                kind = f"train {study.networks[name].network}"
                put(kind, lambda s=study, n=name: rate_of_training(s, n, Path(folder)))


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--only", default="", help="kinds that have one of these words, separated by commas")
    arguments = parser.parse_args()
    measure([word for word in arguments.only.split(",") if word], arguments.output)


if __name__ == "__main__":
    main()
