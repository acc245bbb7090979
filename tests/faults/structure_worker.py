"""Runs commands on odd structure, each in a copy of this process with limits; prints one JSON line for each case.

``python structure_worker.py FOLDER FIRST_SEED COUNT KIND...``: kind and seed alone decide what is tried.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import json
import os
import pkgutil
import resource
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path

import damage_worker
import numpy as np
import odd_structure as odd
import yaml
from odd_structure import pick

SECONDS, GIB = 20, 2
WALL_SECONDS = 180
"""A computer that is busy elsewhere takes longer; what waits for ever is ended."""
SIZE = 32
TINY_NETWORK = ["--set=epochs=1", "--set=batch_size=8", "--device=cpu"]
SCENES = ("polygons", "particles", "bragg", "cell", "test_chart", "static_region", "pseudo_objects", "pictures")
METHODS = ("er", "hio", "raar", "dm", "oss", "gps", "ad_refine", "poisson_ml", "guided", "dip", "cdip", "hio_static")
METHODS += (
    "lodip",
    "reference_lsq",
    "static_estimate",
    "cdi_nn",
    "cdi_nn_3d",
    "dpr",
    "unrolled",
    "in_situ",
    "mf_pie",
    "pid3net",
)


def settings_within(model, head: str = "") -> list[str]:
    """Dotted names of all settings of a pydantic model."""
    names = []
    for name, field in model.model_fields.items():
        below = getattr(field.annotation, "model_fields", None)
        names += settings_within(field.annotation, f"{head}{name}.") if below else [f"{head}{name}"]
    return names


def as_setting(value) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=10**9).removesuffix("\n...\n").strip()


class Cases:
    """Valid files in a folder, and what a kind and a seed make of them: arguments of a command."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.case = folder / "case"

    def make_valid(self) -> None:
        """Write what is disturbed later."""
        f = self.folder
        scene = ["--set", f"size={SIZE}"]
        self._done("simulate", "polygons", "-o", f / "M.cxi", "--truth", f / "TM.cxi", "--set", "photons=1e5", *scene)
        shots = ["--set", "count=3", *scene]
        self._done("simulate", "polygons", "-o", f / "N.cxi", "--truth", f / "TN.cxi", *shots)
        peak = ["--set", "size=16", "--set", "voxels=8", "--set", "positions=16"]
        self._done("simulate", "bragg", "-o", f / "B.cxi", "--truth", f / "TB.cxi", *peak)
        self._done("simulate", "static_region", "-o", f / "S.cxi", "--truth", f / "TS.cxi", "--set", "size=64")
        for name in "MNBS":
            run = ["-m", "hio", "--set", "iterations=5", "--restarts", "6", "--keep-runs"]
            self._done("reconstruct", f / f"{name}.cxi", *run, "-o", f / f"R{name}.cxi")
        corpus = ["corpus", "polygons", "-o", f / "corpus", "--count=16", "--shards=2", "--chunk=4", *scene]
        self._done(*corpus)
        small = ["--set=network.widths=[4]", *TINY_NETWORK]
        self._done("train", "cdi_nn", "--corpus", f / "corpus", "-o", f / "run", *small)

    def _done(self, *arguments) -> None:
        result = run_apart([str(a) for a in arguments], self.folder)
        assert result["code"] == 0, result

    def arguments(self, kind: str, seed: int) -> list[str]:
        """The command of a case, once its files lie in the folder of the case."""
        shutil.rmtree(self.case, ignore_errors=True)
        self.case.mkdir()
        rng = np.random.default_rng([seed, *kind.encode()])
        return [str(a) for a in getattr(self, f"_{kind}")(rng)]

    def _copy(self, name: str) -> Path:
        target = self.case / name
        source = self.folder / name
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
        return target

    def _measurement(self, rng) -> list:
        file, f, out = (
            self._copy(pick(rng, ["M.cxi", "M.cxi", "N.cxi", "B.cxi", "S.cxi"])),
            self.folder,
            self.case / "out.cxi",
        )
        odd.disturb_hdf5(file, rng)
        result = f / f"R{file.name}"
        method = pick(rng, ["er", "er", "hio", "cdi_nn"])
        few = [] if method == "cdi_nn" else ["--set", "iterations=2"]
        return pick(
            rng,
            [
                ["info", file],
                ["reconstruct", file, "-m", method, *few, "-o", out],
                ["reconstruct", file, "-m", method, *few, "-o", out],
                ["import", file, "-o", out],
                ["plot", file, "-o", self.case / "out.png"],
                ["evaluate", result, "--measurement", file, "-o", self.case / "out.json"],
                ["uncertainty", result, "--measurement", file, "-o", out],
            ],
        )

    def _reconstruction(self, rng) -> list:
        file, f, out = (
            self._copy(pick(rng, ["RM.cxi", "RS.cxi", "RN.cxi", "RB.cxi"])),
            self.folder,
            self.case / "out.cxi",
        )
        odd.disturb_hdf5(file, rng)
        measured, truth = f"{file.stem[1:]}.cxi", f"T{file.stem[1:]}.cxi"
        judged = ["evaluate", file, "--measurement", f / measured, "-o", self.case / "out.json"]
        return pick(
            rng,
            [
                ["info", file],
                judged,
                [*judged, "--truth", f / truth],
                ["plot", file, "-o", self.case / "out.png"],
                ["plot", file, "-o", self.case / "out.png", "--diagnostics", self.case / "more.png"],
                ["runs", file],
                ["runs", file, "--keep-best", 2, "-o", out],
                ["export", file, "-o", self.case / pick(rng, ["out.vti", "out.npz", "out.tif", "out.mat"])],
                ["reconstruct", f / measured, "-m", "er", "--set", "iterations=2", "--init", file, "-o", out],
                ["strain", file, "-o", out],
            ],
        )

    def _truth(self, rng) -> list:
        file, f = self._copy(pick(rng, ["TM.cxi", "TN.cxi", "TB.cxi", "TS.cxi"])), self.folder
        odd.disturb_hdf5(file, rng)
        name = file.stem[1:]
        judged = ["evaluate", f / f"R{name}.cxi", "--truth", file, "--measurement", f / f"{name}.cxi"]
        picture = ["plot", f / f"R{name}.cxi", "--truth", file, "-o", self.case / "out.png"]
        return pick(rng, [["info", file], [*judged, "-o", self.case / "out.json"], picture])

    def _checkpoint(self, rng) -> list:
        file, f = self.case / "best.pt", self.folder
        shutil.copy(f / "run/best.pt", file)
        odd.archive_bomb(file) if rng.random() < 0.01 else odd.disturb_checkpoint(file, rng)
        again = ["train", "cdi_nn", "--corpus", f / "corpus", "-o", self.case / "run", "--set=network.widths=[4]"]
        return pick(
            rng,
            [
                ["reconstruct", f / "M.cxi", "-m", "cdi_nn", "--checkpoint", file, "-o", self.case / "out.cxi"],
                ["reconstruct", f / "M.cxi", "-m", "cdi_nn", "--checkpoint", file, "-o", self.case / "out.cxi"],
                ["plot", file, "--measurement", f / "M.cxi", "-o", self.case / "out.png"],
                [*again, *TINY_NETWORK, "--set", f"start_from={file}"],
            ],
        )

    def _corpus(self, rng) -> list:
        folder = self._copy("corpus")
        odd.disturb_corpus(folder, rng)
        train = ["train", "cdi_nn", "--corpus", folder, "-o", self.case / "run", "--set=network.widths=[4]"]
        same = ["corpus", "polygons", "-o", folder, "--count=16", "--shards=2", "--chunk=4", f"--set=size={SIZE}"]
        return pick(rng, [[*train, *TINY_NETWORK], [*same, "--verify"], [*same, "--finish"], [*same, "--shard", 1]])

    def _study(self, rng) -> list:
        tree = yaml.safe_load(damage_worker.STUDY)
        for _ in range(int(rng.integers(1, 3))):
            tree = odd.disturb(tree, rng)
        file = self.case / "study.yaml"
        try:
            file.write_text(yaml.safe_dump(tree))
        except RecursionError:
            file.write_text("[" * 3000)
        return ["config", file]

    def _settings(self, rng) -> list:
        kind = pick(rng, ["scene", "method", "network", "recipe"])
        return getattr(self, f"_{kind}")(rng)

    def _odd_settings(self, rng, model) -> list[str]:
        names, pairs = settings_within(model), []
        for _ in range(int(rng.integers(1, 3))):
            pairs += ["--set", f"{pick(rng, names)}={as_setting(odd.odd_value(rng, deep=False))}"]
        return pairs

    def _scene(self, rng) -> list:
        from cdipipe.simulation.registry import get_scene

        scene = get_scene(pick(rng, SCENES))
        small = {"size": "size=64", "frames": "frames=3", "substeps": "substeps=2", "voxels": "voxels=8"}
        small |= {"positions": "positions=16"}
        if scene.name == "bragg":
            small["size"] = "size=16"
        base = [
            word for name, text in small.items() if name in scene.parameters.model_fields for word in ("--set", text)
        ]
        return ["simulate", scene.name, "-o", self.case / "out.cxi", *base, *self._odd_settings(rng, scene.parameters)]

    def _method(self, rng) -> list:
        from cdipipe.phasing.recipe import Recipe
        from cdipipe.phasing.registry import get_method

        method = get_method(pick(rng, METHODS))
        model = Recipe if rng.random() < 0.4 else method.parameters
        file = "S.cxi" if {"static_region", "static_support"} & set(method.all_needs) else "M.cxi"
        file = "B.cxi" if "volume" in method.all_needs else pick(rng, [file, file, "N.cxi"])
        few = ["--set", "iterations=2"] if "iterations" in method.parameters.model_fields else []
        run = ["reconstruct", self.folder / file, "-m", method.name, *few, "-o", self.case / "out.cxi"]
        return [
            *run,
            *self._odd_settings(rng, model),
            *pick(rng, [[], [], ["--restarts", "2"], ["--free-fraction", "nan"]]),
        ]

    def _network(self, rng) -> list:
        from cdipipe.networks.registry import get_network

        network = get_network(pick(rng, ["cdi_nn", "cdi_nn", "dpr", "denoiser", "cdi_nn_3d"]))
        train = ["train", network.name, "--corpus", self.folder / "corpus", "-o", self.case / "run", *TINY_NETWORK]
        small = ["--set=network.widths=[4]"] if network.name == "cdi_nn" else []
        return [*train, *small, *self._odd_settings(rng, network.settings)]

    def _recipe(self, rng) -> list:
        recipes = [
            {"steps": [{"hio": {"iterations": 3, "beta": 0.9}}, {"er": {"iterations": 2}}], "restarts": 2},
            {"sequence": "2*(2*ER+3*HIO)+2*ER", "beta": 0.8, "shrink_wrap": {"every": 2}, "average_best": 1},
            {"method": "er", "iterations": 3, "start_support": {"kind": "box"}, "coherence": {"width_px": 20.0}},
        ]
        file = self.case / "recipe.yaml"
        tree = odd.disturb(pick(rng, recipes), rng)
        try:
            file.write_text(yaml.safe_dump(tree))
        except RecursionError:
            file.write_text("{a: " * 3000)
        return ["reconstruct", self.folder / "M.cxi", "--recipe", file, "-o", self.case / "out.cxi"]


KINDS = ("measurement", "reconstruction", "truth", "checkpoint", "corpus", "study", "settings")


def warm_up() -> None:
    """Import what commands load, so that each copy begins with it."""
    import torch

    import cdipipe

    torch.set_num_threads(1)
    for module in pkgutil.walk_packages(cdipipe.__path__, "cdipipe."):
        if module.name.split(".")[1] not in ("live", "_native") and not module.name.endswith("worker"):
            with contextlib.suppress(ImportError):
                importlib.import_module(module.name)
    for name in (
        "zarr",
        "lightning_fabric",
        "skimage.metrics",
        "matplotlib.backends.backend_agg",
        "PIL.PngImagePlugin",
    ):
        importlib.import_module(name)
    _fill_caches()


def _fill_caches() -> None:
    """What each command would compute anew: digests of the code, and how text is drawn."""
    import matplotlib.pyplot as plt

    from cdipipe.provenance import code_digest
    from cdipipe.simulation.corpora import code_of_samples
    from cdipipe.training.run_folder import code_of_training

    code_digest(), code_of_samples("polygons"), code_of_training("cdi_nn", "polygons")
    figure, axes = plt.subplots()
    axes.set_title("$10^3$ title")
    figure.savefig(io.BytesIO(), format="png")
    plt.close(figure)


def run_apart(arguments: list[str], folder: Path) -> dict:
    """What a command does in a copy of this process: exit code, stderr, what escaped, its signal, time and memory."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _live(arguments, folder, writing)
    os.close(writing)
    began, said = time.monotonic(), b""
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    _, status, used = os.wait4(child, 0)
    result = json.loads(said) if said else {"code": None, "err": "", "escaped": ""}
    result["signal"] = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    result |= {"seconds": round(used.ru_utime + used.ru_stime, 2), "wall_s": round(time.monotonic() - began, 2)}
    return result | {"peak_gib": round(used.ru_maxrss / 2**20, 3)}


def _live(arguments: list[str], folder: Path, writing: int) -> None:
    """The copy's life; it never returns."""
    from cdipipe.cli.main import run

    resource.setrlimit(resource.RLIMIT_CPU, (2 * SECONDS, 2 * SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (8 * 2**30, 8 * 2**30))  # the computer is not to suffer
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(WALL_SECONDS)
    gc.disable()
    os.chdir(folder)
    out, err, escaped, code = io.StringIO(), io.StringIO(), "", None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = run(arguments)
        except BaseException:
            escaped = traceback.format_exc()
    result = {"code": code, "err": err.getvalue()[-4000:], "escaped": escaped[-4000:]}
    with os.fdopen(writing, "w") as pipe:
        json.dump(result, pipe)
    os._exit(0)


def main() -> None:
    folder, first, count, kinds = Path(sys.argv[1]).resolve(), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
    os.environ |= {"CDIPIPE_MAX_GIB": "1", "OMP_NUM_THREADS": "1"}
    warm_up()
    gc.freeze()  # copies share its memory as long as nobody counts in it
    cases = Cases(folder)
    if not (folder / "run/best.pt").exists():
        cases.make_valid()
    before = sorted(path.name for path in folder.iterdir())
    for kind in kinds or KINDS:
        for seed in range(first, first + count):
            arguments = cases.arguments(kind, seed)
            shown = [a if len(a) < 200 else f"{a[:200]}..." for a in arguments]
            print(json.dumps({"kind": kind, "seed": seed, "arguments": shown, "started": True}), flush=True)
            result = run_apart(arguments, folder)
            left = [str(p.relative_to(folder)) for p in folder.rglob("*") if ".part" in p.name]
            left += [n.name for n in folder.iterdir() if n.name not in (*before, "case")]
            print(json.dumps({"kind": kind, "seed": seed, "arguments": shown, "left": left, **result}), flush=True)
            shutil.rmtree(cases.case, ignore_errors=True)


if __name__ == "__main__":
    main()
