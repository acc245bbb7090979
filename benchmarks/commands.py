"""What the command line costs beside reconstruction: processor seconds of commands and of the quickstart's jobs.

    cdipipe bench commands

``commands``: user and system seconds of whole processes, least of three; that of ``import torch`` alone stands beside
them. Byte code is kept from the first run on, as in every installation. ``quickstart``: what Snakemake measured of its
jobs; error bars, which phase again, are neither ``reconstruct`` nor ``rest``. ``busy``: wall-clock seconds while every
core is taken by another process, with the default number of threads over one thread.
"""

from __future__ import annotations

import csv
import os
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from common import ROOT, run_all

CDIPIPE = [sys.executable, "-m", "cdipipe.cli.main"]
COMMANDS = {
    "simulate": "simulate polygons --set size=128 -o again.cxi",
    "info": "info M.cxi",
    "reconstruct cdi_nn, one pattern": "reconstruct S.cxi -m cdi_nn -o N.cxi",
    "reconstruct hio, 128^2": "reconstruct M.cxi -m hio -o again.cxi",
    "evaluate": "evaluate R.cxi --measurement M.cxi --truth T.cxi -o v.json",
    "plot": "plot R.cxi --measurement M.cxi --truth T.cxi -o o.png",
    "collect": "collect v.json -o c.tsv",
}


def run(command: str, folder: str, **environment: str) -> tuple[float, float]:
    """Wall-clock and processor seconds of one process."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    dropped = ("OMP_NUM_THREADS", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    kept |= {"PYTHONPYCACHEPREFIX": f"{folder}/pycache", **environment}
    words = [sys.executable, *shlex.split(command)] if command.startswith("-c") else [*CDIPIPE, *command.split()]
    subprocess.run(words, cwd=folder, env=kept, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - began, spent


def prepare(folder: str) -> None:
    run("simulate polygons --set size=128 -o M.cxi --truth T.cxi", folder)
    run("simulate polygons --set size=32 -o S.cxi", folder)
    run("reconstruct M.cxi -m hio -o R.cxi", folder)


def commands() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        prepare(folder)
        works = {"import torch": "-c 'import torch'", **COMMANDS}
        for text in works.values():
            run(text, folder)
        return {name: round(min(run(text, folder)[1] for _ in range(3)), 2) for name, text in works.items()}


def busy() -> dict[str, dict[str, float]]:
    """Seconds with one thread and by default, and their ratio, least of three each."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        prepare(folder)
        run("simulate polygons --set size=512 -o L.cxi", folder)
        works = {"hio, 128^2": "reconstruct M.cxi -m hio -o again.cxi", "cdi_nn, one pattern": COMMANDS[[*COMMANDS][2]]}
        works["hio, 512^2"] = "reconstruct L.cxi -m hio --set iterations=100 -o again.cxi"
        others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
        try:
            for name, text in works.items():
                one = min(run(text, folder, OMP_NUM_THREADS="1")[0] for _ in range(3))
                default = min(run(text, folder)[0] for _ in range(3))
                found[name] = {"one_thread_s": round(one, 2), "default_s": round(default, 2)}
                found[name]["ratio"] = round(default / one, 2)
        finally:
            for other in others:
                other.kill()
    return found


def quickstart() -> dict[str, float]:
    """Processor seconds of the jobs by kind, and of all that is not reconstruction over reconstruction."""
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder) / "study.yaml"
        study.write_text((ROOT / "config/quickstart.yaml").read_text())
        command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--cores", "2"]
        subprocess.run([*command, "--configfile", "study.yaml"], cwd=folder, check=True, capture_output=True)
        spent: Counter[str] = Counter()
        for file in Path(folder).glob("results/quickstart/benchmarks/**/*.tsv"):
            row = next(csv.DictReader(file.open(), delimiter="\t"))
            spent[file.stem.split(".")[-1]] += float(row["cpu_time"])
    rest = sum(spent.values()) - spent["reconstruct"] - spent["uncertainty"]
    plain = {name: round(seconds, 1) for name, seconds in spent.most_common()}
    beside = (rest + spent["uncertainty"]) / spent["reconstruct"]
    ratios = {"rest_over_reconstruct": rest / spent["reconstruct"], "rest_and_error_bars_over_reconstruct": beside}
    return {**plain, "rest": round(rest, 1), **{name: round(value, 2) for name, value in ratios.items()}}


if __name__ == "__main__":
    run_all(__doc__, "commands", {part.__name__: part for part in (commands, busy, quickstart)})
