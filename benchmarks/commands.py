"""What the command line costs beside reconstruction: processor seconds of commands and of the quickstart's jobs.

    cdipipe bench commands

``commands``: user and system seconds of whole processes, least of three; that of ``import torch`` alone stands beside
them. Byte code is kept from the first run on, as in every installation. ``quickstart``: user and system seconds of
every ``cdipipe`` of a whole run, by command; the estimate of error bars, which phases again, is ``uncertainty``, their
metrics and pictures are within ``evaluate`` and ``plot``. ``rest`` is all but ``reconstruct`` and ``uncertainty``, and
stands over ``reconstruct`` alone, and with ``uncertainty`` added to it; ``snakemake`` is what the workflow itself
takes, within none of these. ``quickstart_without_error_bars``: the same of a run without them. ``busy``: wall-clock
seconds while every core is taken by another process, with the default number of threads over one thread.
"""

from __future__ import annotations

import os
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import yaml
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


WATCHED = """#!/bin/bash
{python} -m cdipipe.cli.main "$@"
code=$?
times > {folder}/times.$$
echo "$1 $(tail -n 1 {folder}/times.$$)" >> {folder}/spent
exit $code
"""
"""The command ``cdipipe`` that notes the processor seconds of each of its runs."""


def quickstart_without_error_bars() -> dict[str, float]:
    return quickstart(error_bars=False)


def quickstart(error_bars: bool = True) -> dict[str, float]:
    """Processor seconds by command, and ratios."""
    with tempfile.TemporaryDirectory() as folder:
        study = yaml.safe_load((ROOT / "config/quickstart.yaml").read_text())
        for entry in study["measurements"].values() if not error_bars else ():
            entry["uncertainty"] = False
        (Path(folder) / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
        watched = Path(folder) / "bin/cdipipe"
        watched.parent.mkdir()
        watched.write_text(WATCHED.format(python=sys.executable, folder=folder))
        watched.chmod(0o755)
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        kept |= {"PATH": f"{watched.parent}:{os.environ['PATH']}"}
        subprocess.run([sys.executable, "-m", "compileall", "-q", str(ROOT / "cdipipe")], env=kept, check=True)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--cores", "2"]
        subprocess.run([*command, "--configfile", "study.yaml"], cwd=folder, env=kept, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        everything = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        spent: Counter[str] = Counter()
        for line in (Path(folder) / "spent").read_text().splitlines():
            name, *times = line.split()
            spent[name] += sum(map(_seconds, times))
        page = (Path(folder) / "results/quickstart/report.html").stat().st_size
    phased = spent["reconstruct"]
    rest = spent.total() - phased - spent["uncertainty"]
    found = {name: round(seconds, 1) for name, seconds in spent.most_common()}
    found |= {"rest": round(rest, 1), "snakemake": round(everything - spent.total(), 1)}
    found |= {"rest_over_reconstruct": round(rest / phased, 2)}
    found |= {"rest_and_uncertainty_over_reconstruct": round((rest + spent["uncertainty"]) / phased, 2)}
    return found | {"report_megabytes": round(page / 1e6, 2)}


def _seconds(text: str) -> float:
    """Of 1m2.345s, as bash writes times."""
    minutes, _, seconds = text.rstrip("s").partition("m")
    return 60 * int(minutes) + float(seconds)


PARTS = (commands, busy, quickstart, quickstart_without_error_bars)

if __name__ == "__main__":
    run_all(__doc__, "commands", {part.__name__: part for part in PARTS})
