"""``cdipipe bench``: measure this computer with the repository's benchmarks."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

import cdipipe
from cdipipe.errors import InputError
from cdipipe.settings import unknown_name

FOLDER = Path(cdipipe.__file__).parents[1] / "benchmarks"
BENCHMARKS = {
    "kernels": (["kernels.py"], "one HIO iteration against two bare FFTs; restarts in chunks"),
    "fields": (["fields.py"], "blocks of plane-factorised features against grid_sample"),
    "speed": (["solvers.py", "speed"], "620 iterations beside cohere (extra 'bench')"),
    "restarts": (["solvers.py", "restarts"], "cost per restart, 1 against 32, and peak memory"),
    "quality": (["solvers.py", "quality"], "20 strong-phase polygons beside cohere (extra 'bench')"),
    "gold": (["solvers.py", "gold"], "the measured gold crystal beside cohere (extra 'bench', CDIPIPE_DATA_DIR)"),
    "wpc": (["wpc.py"], "mask algebra of partial convolutions against plain PyTorch"),
    "dpr": (["dpr.py"], "DPR at full size, one 512^2 pattern, fast path against plain PyTorch"),
    "low_dose": (["low_dose.py"], "PSNR of every low-dose method over samples and noise draws"),
    "low_dose_speed": (["low_dose_speed.py"], "what the low-dose solvers cost"),
    "static_unknown": (["static_unknown.py"], "what an unknown static region costs"),
    "guided": (["guided.py", "polygons"], "the guided population against plain restarts"),
    "cdip": (["cdip.py", "static"], "CDIP on simulated shots, beside HIO with equal time"),
    "cdip_speed": (["cdip.py", "speed"], "seconds of a step of CDIP"),
    "cdi_nn": (["cdi_nn.py"], "CDI NN on unseen polygons: quality and speed"),
    "corpora": (["corpora.py"], "how fast training sets are made and read"),
    "crystals": (["crystals.py"], "gold crystals per hour (extra 'crystal')"),
    "growth": (["growth.py"], "how cost grows with restarts, size, frames, corpus and cores"),
    "gpu": (["gpu.py"], "100 restarts of 1000 HIO iterations on an NVIDIA GPU, parity with the reference"),
}


def command(
    what: Annotated[str | None, typer.Argument(help="which benchmark; none lists them")] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="write into benchmarks/results/ what the documentation quotes from")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the result as JSON, nothing else")] = False,
) -> None:
    """Measure this computer; results that count are recorded in benchmarks/results/."""
    if what is None:
        described = {name: text for name, (_, text) in BENCHMARKS.items()}
        lines = (f"{name:10}{text}" for name, text in described.items())
        print(json.dumps(described, indent=2) if as_json else "\n".join(lines))
        return
    if what not in BENCHMARKS:
        raise unknown_name("benchmark", what, BENCHMARKS)
    if not FOLDER.is_dir():
        raise InputError(f"{FOLDER}: no such folder; the benchmarks are in the repository, not in an installed package")
    script, *rest = BENCHMARKS[what][0]
    call = [sys.executable, str(FOLDER / script), *rest]
    if keep:
        if subprocess.run(call, stdout=sys.stderr if as_json else None, check=False).returncode:
            raise InputError(f"benchmark {what} failed; its message stands above")
        return
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "result.json"
        call += ["-o", str(output)]
        done = subprocess.run(call, stdout=sys.stderr if as_json else None, check=False)
        if done.returncode or not output.exists():
            raise InputError(f"benchmark {what} ended with exit code {done.returncode}; its message stands above")
        if as_json:
            print(output.read_text(), end="")
