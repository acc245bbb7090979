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
STUDIES = [*sorted((FOLDER.parent / "config/papers").glob("*.yaml")), FOLDER.parent / "config/shootout.yaml"]
SCALES = ("tiny", "laptop", "paper")


class Benchmark(NamedTuple):
    """Script and its arguments, what it measures, and the file in benchmarks/results/ that it writes."""

    call: list[str]
    text: str
    record: str


def _dynamic(case: str, text: str, frames: int | None = None, *methods: str) -> Benchmark:
    """A movie; where ``frames`` are not given, the script knows what belongs to the case."""
    options = [] if frames is None else [f"--frames={frames}", "--methods", *methods]
    return Benchmark(["dynamic.py", case, *options], f"movies: {text}", "dynamic")


BENCHMARKS = {
    "kernels": Benchmark(["kernels.py"], "one HIO iteration against two bare FFTs; restarts in chunks", "kernels"),
    "fields": Benchmark(["fields.py"], "blocks of plane-factorised features against grid_sample", "fields"),
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
    "wpc": Benchmark(["wpc.py"], "mask algebra of partial convolutions against plain PyTorch", "wpc"),
    "dpr": Benchmark(["dpr.py"], "DPR at full size, one 512^2 pattern, fast path against plain PyTorch", "dpr"),
    "low_dose": Benchmark(["low_dose.py"], "PSNR of every low-dose method over samples and noise draws", "low_dose"),
    "low_dose_speed": Benchmark(["low_dose_speed.py"], "what the low-dose solvers cost", "low_dose_speed"),
    "static_unknown": Benchmark(
        ["static_unknown.py", "--draws", "1"], "what an unknown static region costs", "static_unknown"
    ),
    "in_situ": Benchmark(["in_situ.py"], "a movie beside a static structure, all frames together or each", "in_situ"),
    "measured": Benchmark(
        ["measured.py"], "two measured patterns through every method that applies (CDIPIPE_DATA_DIR)", "measured"
    ),
    "guided": Benchmark(
        ["guided.py", "polygons", "--count", "12"],
        "the guided population against plain restarts",
        "guided_polygons",
    ),
    "guided_beamstop": Benchmark(["guided.py", "beamstop"], "the same with a masked centre", "guided_beamstop"),
    "guided_gold": Benchmark(
        ["guided.py", "gold"], "the same on the measured gold crystal (CDIPIPE_DATA_DIR)", "guided_gold"
    ),
    "cdip": Benchmark(["cdip.py", "static"], "CDIP on simulated shots, beside HIO with equal time", "cdip_static"),
    "cdip_ablation": Benchmark(["cdip.py", "ablation"], "CDIP with one thing changed", "cdip_ablation"),
    "cdip_speed": Benchmark(["cdip.py", "speed"], "seconds of a step of CDIP", "cdip_speed"),
    "cdip_gold": Benchmark(
        ["cdip.py", "gold"], "CDIP on a frame of the measured gold crystal (CDIPIPE_DATA_DIR)", "cdip_gold"
    ),
    "dynamic_particles": _dynamic("particles", "Brownian spheres", 200, "cdip", "mf_pie", "mf_pie_single", "pid3net"),
    "dynamic_chart": _dynamic("chart", "a chart that moves", 400, "cdip", "mf_pie"),
    "dynamic_chart_pid3net": _dynamic("chart", "the same, shorter, by PID3Net", 40, "pid3net_40"),
    "dynamic_chart_round": _dynamic(
        "chart_round", "the same in a round beam, which does not tell the twin apart", 40, "cdip", "mf_pie"
    ),
    "dynamic_open": _dynamic("open", "spheres that leave while others enter", 50, "cdip", "mf_pie"),
    "dynamic_jumps": _dynamic("jumps", "spheres that jump", 50, "cdip", "mf_pie"),
    "dynamic_siemens": _dynamic(
        "siemens", "measured shots of a Siemens star (CDIPIPE_DATA_DIR)", 24, "cdip", "mf_pie", "mf_pie_single"
    ),
    "dynamic_prtf": _dynamic("prtf", "phase retrieval transfer over draws of noise"),
    "dynamic_growth": _dynamic("growth", "memory and time against frames and size"),
    "cdi_nn": Benchmark(["cdi_nn.py"], "CDI NN on unseen polygons: quality and speed", "cdi_nn"),
    "cdi_nn_views": Benchmark(
        ["cdi_nn.py", "--only", "views"], "CDI NN with several views of each pattern", "cdi_nn_views"
    ),
    "cdi_nn_3d": Benchmark(
        ["prepared.py", "cdi_nn_3d"], "3D-CDI-NN on the unseen volumes of its record, beside iterations", "cdi_nn_3d"
    ),
    "gold_network": Benchmark(
        ["prepared.py", "gold_network"],
        "the measured gold crystal by 3D-CDI-NN and by iterations (CDIPIPE_DATA_DIR)",
        "gold_network",
    ),
    "corpora": Benchmark(["corpora.py"], "how fast training sets are made and read", "corpora"),
    "crystals": Benchmark(["crystals.py", "--count", "40"], "gold crystals per hour (extra 'crystal')", "crystals"),
    "growth": Benchmark(["growth.py"], "how cost grows with restarts, size, frames, corpus and cores", "growth"),
    "study_rates": Benchmark(
        ["study_rates.py"], "seconds per unit of work of every kind of job of the studies", "study_rates"
    ),
    "gpu": Benchmark(
        ["gpu.py"], "100 restarts of 1000 HIO iterations on an NVIDIA GPU, parity with the reference", "gpu"
    ),
} | {
    f"study_{file.stem}_{scale}": Benchmark(
        ["study.py", str(file), "--scale", scale], "costs and tables of a study", f"study_{file.stem}_{scale}"
    )
    for file in STUDIES
    for scale in SCALES
}
BENCHMARKS["cdi_nn_3d_networks"] = Benchmark(
    ["prepared.py", "cdi_nn_3d_networks"],
    "the networks of study_cdi_nn_3d_laptop, once it has run, on unseen volumes",
    "cdi_nn_3d_networks",
)


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
