"""Runs commands on damaged CXI files, corpora, checkpoints and studies in a process of its own; prints JSON lines.

``python damage_worker.py FOLDER FIRST_SEED COUNT KIND...``: kind and seed alone decide the damage.
"""

from __future__ import annotations

import io
import json
import os
import resource
import shutil
import sys
import time
import zipfile
from pathlib import Path

import h5py
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "io"))
import fuzz_worker
import mutations

KINDS = ("cxi", "cxi_plain", "corpus", "checkpoint", "checkpoint_inside", "study")
SMALL = ["--set=network.widths=[4]", "--set=batch_size=8", "--set=epochs=1", "--device=cpu"]
STUDY = """\
output: out
seed: 1
measurements:
  one: {scene: polygons, seed: 1, set: {size: 64, photons: 1e6, detector: {mask: {beamstop_px: 2}}}}
  mine: {import: {files: [counts.npy], energy_ev: 9000, distance_m: 0.5, pixel_m: 5.0e-5, crop: [32, 32]}}
corpora:
  samples: {scene: polygons, count: 24, shards: 2, set: {size: 32}}
networks:
  learned: {network: cdi_nn, corpus: samples, set: {epochs: 2}}
methods:
  mix: {sequence: "3*(20*ER+180*HIO)+20*ER", restarts: 4}
  net: {steps: [{cdi_nn: {checkpoint: learned}}, {er: {iterations: 5}}]}
tables:
  t: {metric: r_factor, columns: {1: one, 2: [mine]}, axis: number, printed: {X: {1: 0.2}}}
scales:
  tiny: {measurements: {one: {set: {size: 32}}}}
"""


def write_valid(folder: Path, kind: str) -> Path:
    """A valid file (or folder) of a kind."""
    counts = mutations.counts(np.random.default_rng(0), (32, 32))
    path = folder / f"valid_{kind}"
    if kind.startswith("cxi"):
        mutations.write_valid(path, "cxi", counts)
        return _without_checksums(path) if kind == "cxi_plain" else path
    if kind == "study":
        path.write_text(STUDY)
        return path
    _run("corpus", "polygons", "-o", path, "--count=16", "--shards=2", "--chunk=4", "--set=size=32")
    if kind == "corpus":
        return path
    _run("train", "cdi_nn", "--corpus", path, "-o", folder / f"run_{kind}", *SMALL)
    return folder / f"run_{kind}" / "best.pt"


def _run(*arguments) -> None:
    result = fuzz_worker.run_command(list(map(str, arguments)))
    assert result["code"] == 0, result


def _without_checksums(path: Path) -> Path:
    """The same content as another program writes it: nothing in it notices damage."""
    plain = path.with_name(path.name + "_h5py")
    with h5py.File(path) as source, h5py.File(plain, "w") as target:

        def copy(name, node):
            if isinstance(node, h5py.Dataset):
                target[name] = node[()]
                for key, value in node.attrs.items():
                    target[name].attrs[key] = value

        source.visititems(copy)
        target["entry_1/data_1/data"] = h5py.SoftLink("/entry_1/instrument_1/detector_1/data")
    return plain


def damage(valid: Path, target: Path, kind: str, rng: np.random.Generator) -> None:
    """A damaged copy of what is valid."""
    if kind == "corpus":
        shutil.copytree(valid, target)
        victim = rng.choice(sorted(path for path in target.rglob("*") if path.is_file()))
        victim.write_bytes(mutations.mutate(victim.read_bytes(), rng))
    elif kind == "checkpoint_inside":
        target.write_bytes(_damaged_member(valid.read_bytes(), rng))
    else:
        target.write_bytes(mutations.mutate(valid.read_bytes(), rng))


def _damaged_member(content: bytes, rng: np.random.Generator) -> bytes:
    """A checkpoint whose archive is whole, and one of its members damaged, as somebody with bad intent makes it."""
    memory = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(memory, "w") as new:
        names = old.namelist()
        pickled = next(index for index, name in enumerate(names) if name.endswith("data.pkl"))
        victim = pickled if rng.random() < 0.7 else int(rng.integers(len(names)))
        for index, name in enumerate(names):
            data = old.read(name)
            new.writestr(name, mutations.mutate(data, rng) if index == victim else data)
    return memory.getvalue()


def commands_for(kind: str, file: Path, folder: Path) -> dict[str, list[str]]:
    """What is tried on a damaged file."""
    out = str(folder / "out.cxi")
    if kind == "study":
        return {"config": ["config", str(file)]}
    if kind == "corpus":
        return {"train": ["train", "cdi_nn", "--corpus", str(file), "-o", str(folder / "out_run"), *SMALL]}
    if kind.startswith("checkpoint"):
        measurement = str(folder / "M.cxi")
        return {"predict": ["reconstruct", measurement, "-m", "cdi_nn", "--checkpoint", str(file), "-o", out]}
    er = ["reconstruct", str(file), "-m", "er", "--set", "iterations=2", "-o", out]
    return {"info": ["info", str(file)], "reconstruct": er}


def main() -> None:
    folder, first, count, kinds = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
    os.environ["CDIPIPE_MAX_GIB"] = "0.5"
    fuzz_worker.SECONDS_PER_COMMAND = 600
    _run("simulate", "polygons", "-o", folder / "M.cxi", "--truth", folder / "T.cxi", "--set=size=32")
    for kind in kinds:
        valid = write_valid(folder, kind)
        for seed in range(first, first + count):
            file = folder / f"damaged_{seed}"
            damage(valid, file, kind, np.random.default_rng([seed, *kind.encode()]))
            for name, arguments in commands_for(kind, file, folder).items():
                begun = {"kind": kind, "seed": seed, "command": name}
                print(json.dumps(begun | {"started": True}), flush=True)
                began = time.process_time()
                result = fuzz_worker.run_command(arguments)
                result["seconds"] = time.process_time() - began  # whatever else the computer does; a hang ends all
                result["left"] = [p.name for p in folder.rglob("*.part*")] + ["out"] * (folder / "out.cxi").exists()
                result["peak_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
                print(json.dumps(begun | result), flush=True)
                (folder / "out.cxi").unlink(missing_ok=True)
                shutil.rmtree(folder / "out_run", ignore_errors=True)
            shutil.rmtree(file) if file.is_dir() else file.unlink()


if __name__ == "__main__":
    main()
