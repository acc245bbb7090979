"""Processor seconds per unit of work of every kind of job that the studies have, one pattern or a few samples of each.

    python benchmarks/study_rates.py [--only hio,train]

Every method runs as the studies' scale laptop has it, on one pattern of at most 128 x 128 or 32 x 32 x 32 pixels and
one start (of movies five frames), every network for one epoch of a few samples. Times are of the process, so they hold
on a busy computer, too, as far as caches are not shared. Units are those of benchmarks/study_work.py.
"""

from __future__ import annotations

import argparse
import copy
import tempfile
import time
from pathlib import Path

import record
import study_work

from cdipipe.config import Config

ROOT = Path(__file__).parents[1]
LARGEST = {2: 128, 3: 32}
FRAMES, SAMPLES = 5, {"cdi_nn": 512, "cdi_nn_3d": 8, "dpr": 16}
SHORT = {"dip 3D": {"iterations": 10}, "cdip 3D": {"iterations": 20, "population": 2}}
PLAIN = {
    2: {"scene": "polygons", "set": {"size": 128, "photons": 1e6}},
    3: {"scene": "polygons", "set": {"size": 32, "dimensions": 3}},
}


def representatives() -> dict[str, tuple[Config, str, str]]:
    """kind of reconstruction -> study, measurement, method, of the largest patterns; corpora and networks by name."""
    found: dict[str, tuple] = {}
    for file in study_files():
        study = study_work.study_at(file, "laptop")
        for measurement, method in study.pairs():
            patterns = study_work.patterns_of(study.measurements[measurement])
            kind = f"{study_work.recipe_of(study, method)[0]} {patterns.ndim}D"
            size = min(patterns.size, LARGEST[patterns.ndim])
            if kind not in found or size > found[kind][0]:
                found[kind] = (size, study, measurement, method)
    return {kind: entry[1:] for kind, entry in found.items()}


def study_files() -> list[Path]:
    """All studies that say what they are at the scale of the papers."""
    from cdipipe.config import load_mapping

    files = sorted((ROOT / "config").rglob("*.yaml"))
    return [file for file in files if "paper" in load_mapping(file).get("scales", {})]


def rate_of_method(study: Config, measurement: str, method: str, changes: dict) -> dict:
    """One start of one pattern, or of a few frames."""
    from cdipipe.methods.driver.reconstruct import reconstruct
    from cdipipe.methods.recipe import recipe_from_mapping
    from cdipipe.settings import validate
    from cdipipe.simulate.exposure import simulate
    from cdipipe.simulate.registry import get_scene

    ndim = study_work.patterns_of(study.measurements[measurement]).ndim
    entry = study.measurements[measurement].model_dump(exclude_defaults=True)
    entry = copy.deepcopy(PLAIN[ndim] if entry.get("scene") in (None, "crystal") else entry)
    settings = entry.get("set", {})
    scene = get_scene(entry["scene"])
    known = type(validate(scene.parameters, settings, entry["scene"])).model_fields
    settings |= {"size": min(settings.get("size", LARGEST[ndim]), LARGEST[ndim])}
    settings |= {name: few for name, few in (("count", 1), ("frames", FRAMES)) if name in known}
    if study.measurements[measurement].is_movie is False and "frames" in settings:
        settings["frames"] = 1
    parameters = validate(scene.parameters, settings, entry["scene"])
    shown, _ = simulate(scene, parameters, seed=1)
    mapping = {**study.methods[method], "restarts": 1, "average_best": 1, **changes}
    recipe = recipe_from_mapping(mapping, method)
    began = time.process_time()
    reconstruct(shown, recipe, seed=1)
    seconds = time.process_time() - began
    from cdipipe.methods.driver.iterate import count_iterations

    units = shown.intensity.size * count_iterations(recipe)
    return {"units": units, "inside_s": seconds, "on": f"{entry['scene']} {list(shown.intensity.shape)}"}


def rate_of_training(study: Config, name: str, folder: Path) -> dict:
    """One epoch of every stage; the same once more on half as many samples takes off what does not grow."""
    entry = study.networks[name]
    corpus = study.corpora[entry.corpus]
    few = SAMPLES[entry.network]
    seconds, units = [], []
    for count in (few // 2, few):
        place = folder / f"{name}_{count}"
        options = [option for option in corpus.options() if not option.startswith(("--count", "--shards", "--seed"))]
        run("corpus", *options, "-o", place, f"--count={count}")
        short = {"epochs": 1} | ({"stage_epochs": [1] * 4} if "stage_epochs" in entry.set else {})
        study_at = study.model_copy(update={"networks": {name: entry.model_copy(update={"set": entry.set | short})}})
        study_at = study_at.model_copy(
            update={"corpora": {entry.corpus: corpus.model_copy(update={"count": count, "shards": 1})}}
        )
        began = time.process_time()
        run(
            "train",
            *study_at.networks[name].options(),
            "--corpus",
            place,
            "-o",
            folder / f"run_{count}",
            "--device=cpu",
        )
        seconds.append(time.process_time() - began)
        units.append(study_work.training_units(study_at, name))
    return {"units": units[1] - units[0], "inside_s": seconds[1] - seconds[0], "on": f"{name}, {few} samples"}


def rate_of_corpus(study: Config, name: str, folder: Path) -> dict:
    """A few samples."""
    entry = study.corpora[name]
    count = 4 if entry.scene == "crystal" else 64
    options = [option for option in entry.options() if not option.startswith(("--count", "--shards", "--seed"))]
    began = time.process_time()
    run("corpus", *options, "-o", folder / f"corpus_{name}", f"--count={count}")
    seconds = time.process_time() - began
    return {"units": study_work.patterns_of(entry, count).pixels, "inside_s": seconds, "on": f"{count} samples"}


def run(*words) -> None:
    from cdipipe.cli.main import run as cdipipe

    assert cdipipe([str(word) for word in words]) == 0, words


def measure(wanted: list[str], output: Path | None) -> None:
    """All kinds, each written as soon as it is known."""
    found: dict[str, dict] = {}

    def put(kind, work):
        if wanted and not any(word in kind for word in wanted):
            return
        try:
            found[kind] = work()
        except Exception as error:  # a kind without a rate is named in the table
            found[kind] = {"error": str(error).splitlines()[0]}
        print(kind, found[kind], flush=True)
        record.write("study_rates", {"rates": found}, output)

    for kind, (study, measurement, method) in sorted(representatives().items()):
        put(kind, lambda s=study, m=measurement, r=method, k=kind: rate_of_method(s, m, r, SHORT.get(k, {})))
    with tempfile.TemporaryDirectory() as folder:
        for file in study_files():
            study = study_work.study_at(file, "laptop")
            for name in list(study.built())[:1]:
                put(f"corpus {study.corpora[name].scene}", lambda s=study, n=name: rate_of_corpus(s, n, Path(folder)))
            for name in list(study.trained())[:1]:
                kind = f"train {study.networks[name].network}"
                put(kind, lambda s=study, n=name: rate_of_training(s, n, Path(folder)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="kinds that have one of these words, separated by commas")
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    measure([word for word in arguments.only.split(",") if word], arguments.output)


if __name__ == "__main__":
    main()
