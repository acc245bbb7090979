"""A small study, run, killed and gone on with, and what its results are apart from times."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import yaml

ROOT = Path(__file__).parents[2]
TIMES = ("seconds", "time_utc", "provenance")
"""Datasets and metrics that tell of time; of the provenance the command is compared in the pictures."""

WITH_TIMES = ("corpus.json", "settings.json", "metrics.png")
"""Files that show seconds, or are of the way and not of the results."""


def tiny_quickstart(folder: Path, whole: bool) -> Path:
    """The quickstart at scale tiny; without ``whole`` only its crystal, corpus, network and two methods."""
    from cdipipe.study.config import load_mapping
    from cdipipe.study.scales import at_scale

    study = at_scale(load_mapping(ROOT / "config/quickstart.yaml"), "quickstart", "tiny")
    study.pop("scales"), study.pop("scale")
    study["output"] = "out"
    if not whole:
        study["reconstructions"] = [{"measurements": ["tiny_crystal"], "methods": ["hio_er", "cdi_nn"]}]
        study["galleries"], study["tables"] = {}, {}
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(study, sort_keys=False))
    return path


def start(folder: Path, config: Path, *options: str, profile: str = "local") -> subprocess.Popen:
    """Snakemake as ``make run`` starts it, in a process group of its own; what it says goes to run.log."""
    own = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": own, "OMP_NUM_THREADS": "1", "SOURCE_DATE_EPOCH": "1700000000"}
    command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--cores", "2", "--configfile"]
    command += [config.name, "--workflow-profile", str(ROOT / "workflow/profiles" / profile), *options]
    with (folder / "run.log").open("a") as log:
        pipes = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
        return subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True, **pipes)


def run(folder: Path, config: Path, *options: str, timeout_s: float = 1800) -> tuple[int, str]:
    """Exit code and everything said."""
    code = start(folder, config, *options).wait(timeout_s)
    return code, (folder / "run.log").read_text()


def kill_after(folder: Path, config: Path, seconds: float) -> int | None:
    """Kill the whole process group after so many seconds; the exit code if it ended before, else None."""
    process = start(folder, config)
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        time.sleep(0.2)
        return None


def results(folder: Path) -> dict[str, str]:
    """Digest of every result's content by name, without times: metrics, pictures, CXI files, curves and weights."""
    digests = {}
    for path in sorted((folder / "out").rglob("*")):
        read = READERS.get(path.suffix)
        kept = path.is_file() and "benchmarks" not in path.parts and "zarr" not in str(path)
        if read and kept and path.name not in WITH_TIMES and not path.name.startswith("shard-"):
            digests[str(path.relative_to(folder))] = hashlib.sha256(read(path)).hexdigest()
    return digests


def leftovers(folder: Path) -> list[str]:
    """Partial files, and locks of Snakemake."""
    parts = [str(path) for path in (folder / "out").rglob("*") if ".part" in path.name]
    return parts + [str(path) for path in (folder / ".snakemake/locks").glob("*")]


def _json(path: Path) -> bytes:
    content = json.loads(path.read_text())
    return json.dumps({k: v for k, v in content.items() if "seconds" not in k and k != "checksum"}).encode()


def _picture(path: Path) -> bytes:
    from PIL import Image

    with Image.open(path) as image:
        frames = []
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            frames.append(image.convert("RGBA").tobytes())
    return b"".join(frames)


def _cxi(path: Path) -> bytes:
    digest = []
    with h5py.File(path) as file:
        file.visititems(lambda name, node: digest.append(_dataset(name, node)))
    return b"".join(sorted(digest))


def _dataset(name: str, node) -> bytes:
    if not isinstance(node, h5py.Dataset) or name.rpartition("/")[2] in TIMES:
        return b""
    return name.encode() + hashlib.sha256(np.asarray(node[()]).tobytes()).digest()


def _arrays(path: Path) -> bytes:
    with np.load(path) as arrays:
        return b"".join(name.encode() + arrays[name].tobytes() for name in sorted(arrays))


def _weights(path: Path) -> bytes:
    from cdipipe.networks.checkpoint import read_checkpoint

    weights = read_checkpoint(path).weights
    return b"".join(name.encode() + tensor.numpy().tobytes() for name, tensor in sorted(weights.items()))


def _table(path: Path) -> bytes:
    rows = [line.split("\t") for line in path.read_text().splitlines()]
    kept = [index for index, name in enumerate(rows[0]) if "seconds" not in name]
    return "\n".join("\t".join(row[index] for index in kept) for row in rows).encode()


READERS = {".json": _json, ".png": _picture, ".gif": _picture, ".cxi": _cxi, ".npz": _arrays, ".pt": _weights}
READERS |= {".tsv": _table, ".vti": Path.read_bytes}
