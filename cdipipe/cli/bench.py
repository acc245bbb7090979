"""``cdipipe bench``: measure this computer with the repository's benchmarks."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

import cdipipe
from cdipipe.errors import InputError
from cdipipe.settings import unknown_name

FOLDER = Path(cdipipe.__file__).parents[1] / "benchmarks"
CONFIG = FOLDER.parent / "config"
STUDIES = {
    **dict.fromkeys(sorted((CONFIG / "papers").glob("*.yaml")), ("tiny", "laptop", "paper")),
    CONFIG / "shootout.yaml": ("tiny", "laptop", "paper"),
    **dict.fromkeys(sorted((CONFIG / "studies").glob("*.yaml")), ("tiny", "laptop")),
}
"""File -> scales."""


class Benchmark(NamedTuple):
    """Script and its arguments, what it measures, and the file in benchmarks/results/ that it writes."""

    call: list[str]
    text: str
    record: str


BENCHMARKS = {
    "kernels": Benchmark(["kernels.py"], "one HIO iteration against two bare FFTs; restarts in chunks", "kernels"),
    "fields": Benchmark(["fields.py"], "blocks of plane-factorised features against grid_sample", "fields"),
    "wpc": Benchmark(["wpc.py"], "mask algebra of partial convolutions against plain PyTorch", "wpc"),
    "masked_area": Benchmark(
        ["masked_area.py", "masked_area"], "a missing centre: areas of the support, by free R-factor", "masked_area"
    ),
    "auto": Benchmark(["auto.py"], "the method that chooses by itself against all others, in the shoot-out", "auto"),
    "bragg": Benchmark(["bragg.py"], "strain of known crystals at three beamlines, over photons", "bragg"),
    "commands": Benchmark(
        ["commands.py"],
        "processor seconds of commands and of the quickstart's jobs; waits on a busy machine",
        "commands",
    ),
    "live": Benchmark(["live.py"], "frames per second, latency and memory of cdipipe live, by replay", "live"),
    "live_page": Benchmark(["live_page.py", "live_page"], "what the browser page costs a live run", "live_page"),
    "multipeak": Benchmark(
        ["multipeak.py"], "the strain tensor of several reflections together, against separate phasing", "multipeak"
    ),
    "shots": Benchmark(["shots.py"], "stacks with blanks, weak and double hits: are they told apart?", "shots"),
    "uncertainty": Benchmark(
        ["uncertainty.py"], "error bars against simulated truth; makes the model that is shipped", "uncertainty"
    ),
    "uncertainty_networks": Benchmark(
        ["uncertainty.py", "networks"], "error bars of networks against simulated truth", "uncertainty_networks"
    ),
    "uncertainty_unrolled": Benchmark(
        ["uncertainty.py", "unrolled"],
        "error bars of the unrolled network against simulated truth",
        "uncertainty_unrolled",
    ),
    "cdi_nn_refined": Benchmark(
        ["cdi_nn_refined.py"], "CDI NN as predicted and refined, weak and strong phases", "cdi_nn_refined"
    ),
    "failures": Benchmark(
        ["failures.py"], "objects on which CDI NN fails, and iterations on the same ones", "cdi_nn_failures"
    ),
    "unrolled_trainings": Benchmark(
        ["masked_patterns.py", "trainings"],
        "three trainings of the unrolled network on masked patterns",
        "unrolled_trainings",
    ),
    "unrolled_times": Benchmark(
        ["masked_patterns.py", "times"],
        "processor time of unrolled, HIO and GPS on masked patterns, in turns",
        "unrolled_times",
    ),
    "dpr_published": Benchmark(
        ["masked_patterns.py", "published"],
        "the HIO that was published with DPR, with its faults and without",
        "dpr_published",
    ),
    "resolution": Benchmark(
        ["resolution.py"], "resolution that is told without a truth, against the true one", "resolution"
    ),
    "tuning": Benchmark(["tuning.py"], "tuned settings against the defaults on simulated patterns", "tuning"),
    "strain_peer": Benchmark(
        ["strain_peer.py"],
        "strain of the measured gold crystal beside cohere's (extra 'bench', cohere_ui, CDIPIPE_DATA_DIR)",
        "strain_peer",
    ),
    "startups": Benchmark(
        ["startups.py"], "what starting costs on a cluster, of every study at paper scale", "startups"
    ),
    "gpu": Benchmark(["gpu.py", "--all"], "on an NVIDIA GPU: tests, every method, kernels, timings, a training", "gpu"),
    "speed": Benchmark(["solvers.py", "speed"], "620 iterations beside cohere (extra 'bench')", "solvers_speed"),
    "restarts": Benchmark(
        ["solvers.py", "restarts"], "cost per restart, 1 against 32, and peak memory", "solvers_restarts"
    ),
    "quality": Benchmark(
        ["solvers.py", "quality"], "20 strong-phase polygons beside cohere (extra 'bench')", "solvers_quality"
    ),
    "gold": Benchmark(
        ["solvers.py", "gold"],
        "the measured gold crystal beside cohere (extra 'bench', CDIPIPE_DATA_DIR)",
        "solvers_gold",
    ),
    "restart_costs": Benchmark(
        ["restart_costs.py", "restart_costs"], "what 100 restarts cost beyond their iterations", "restart_costs"
    ),
    "low_dose_speed": Benchmark(["method_speed.py", "low_dose"], "what the low-dose solvers cost", "low_dose_speed"),
    "cdip_speed": Benchmark(["method_speed.py", "cdip"], "seconds of a step of CDIP", "cdip_speed"),
    "dpr": Benchmark(["networks.py", "dpr"], "DPR at full size, fast path against the layers as written", "dpr"),
    "cdi_nn_speed": Benchmark(
        ["networks.py", "cdi_nn"], "CDI NN with several views, beside 620 iterations", "cdi_nn_speed"
    ),
    "static_bound": Benchmark(
        ["static_bound.py", "static_region"], "what estimating a static region costs at least", "static_bound"
    ),
    "movies_siemens": Benchmark(
        ["movies.py", "siemens"], "measured shots of a Siemens star (CDIPIPE_DATA_DIR)", "movies_siemens"
    ),
    "movies_prtf": Benchmark(
        ["movies.py", "prtf"], "phase retrieval transfer of movies over draws of noise", "movies_prtf"
    ),
    "corpora": Benchmark(["corpora.py"], "how fast training sets are made and read", "corpora"),
    "crystals": Benchmark(
        ["crystals.py", "gold", "--count", "40"], "gold crystals per hour (extra 'crystal')", "crystals"
    ),
    "growth": Benchmark(["growth.py"], "how cost grows with restarts, size, frames, corpus and cores", "growth"),
    "study_rates": Benchmark(
        ["study_rates.py"], "seconds per unit of work of every kind of job of the studies", "study_rates"
    ),
} | {
    f"study_{file.stem}_{scale}": Benchmark(
        ["study.py", str(file), "--scale", scale], "costs and tables of a study", f"study_{file.stem}_{scale}"
    )
    for file, scales in STUDIES.items()
    for scale in scales
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
        described = {name: benchmark.text for name, benchmark in BENCHMARKS.items()}
        width = max(map(len, described), default=0) + 2
        lines = (f"{name:{width}}{text}" for name, text in described.items())
        print(json.dumps(described, indent=2) if as_json else "\n".join(lines))
        return
    if what not in BENCHMARKS:
        raise unknown_name("benchmark", what, BENCHMARKS)
    if not FOLDER.is_dir():
        raise InputError(f"{FOLDER}: no such folder; the benchmarks are in the repository, not in an installed package")
    script, *rest = BENCHMARKS[what].call
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
