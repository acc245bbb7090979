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
    "gpu": (["gpu.py"], "100 restarts of 1000 HIO iterations on an NVIDIA GPU, parity with the reference"),
}


def command(
    what: Annotated[str | None, typer.Argument(help="which benchmark; none lists them")] = None,
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
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "result.json"
        script, *rest = BENCHMARKS[what][0]
        call = [sys.executable, str(FOLDER / script), *rest, "-o", str(output)]
        done = subprocess.run(call, stdout=sys.stderr if as_json else None, check=False)
        if done.returncode or not output.exists():
            raise InputError(f"benchmark {what} ended with exit code {done.returncode}; its message stands above")
        if as_json:
            print(output.read_text(), end="")
