"""How much of every study at the scale of its paper is starting, when its jobs go to a SLURM cluster.

    python benchmarks/startups.py [-o FILE]

A job of a cluster starts Snakemake twice, for the job and for its step, and one command for every rule in it. What that
takes is measured here: Snakemake reads the study and plans one target, commands work on 32 x 32 pixels; processor
seconds. Jobs are counted as the rules make them: small reconstructions of a measurement share
one, metrics and pictures of a measurement are one, and all tables with the report are one. The work is that of
study_costs.py: core-hours on a CPU, without what starting takes there. Results go to benchmarks/results/startups.json.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import study_work
from common import ROOT, parser_of, write
from study_costs import estimate, recorded_rates, start_of

from cdipipe.study.shared import shared_error_bars, shared_jobs

COMMANDS = {
    "simulate": ["simulate", "polygons", "-o", "m.cxi", "--truth", "t.cxi", "--set=size=32"],
    "reconstruct": ["reconstruct", "m.cxi", "-m", "er", "--set=iterations=1", "-o", "r.cxi", "--device=cpu"],
    "evaluate": ["evaluate", "r.cxi", "--measurement", "m.cxi", "--truth", "t.cxi", "-o", "j.json"],
    "plot": ["plot", "r.cxi", "--measurement", "m.cxi", "--truth", "t.cxi", "-o", "p.png"],
}


def processor_s(command: list[str], folder: Path) -> float:
    """Of a program and those that it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def jobs_of(study) -> dict[str, int]:
    """Kind of command -> (jobs, commands) on a cluster; trainings and shards count as reconstructions."""
    shared, bars = shared_jobs(study), shared_error_bars(study)
    alone = len(study.pairs()) - sum(len(methods) - 1 for _, methods in shared)
    uncertain = study.with_error_bars()
    judged = len({measurement for measurement, _ in uncertain})
    heavy = alone + len(uncertain) - sum(len(methods) - 1 for _, methods in bars)
    heavy += len(study.trained()) + sum(study.corpora[name].shards + 1 for name in study.built())
    heavy += len(study.with_resolution()) + len(study.tunings) * len(study.used())
    means = len(study.pairs()) if study.average else 0
    return {
        "simulate": len(study.used()),
        "reconstruct": heavy + means,
        "evaluate": len(study.used()) + len(study.with_shots()) + judged,
        "plot": len(study.used()) + judged + 2 * len(study.trained()) + len(study.drawn()) + 3,
        "grouped": len(study.used()) + len(study.drawn()) + 2,  # plots with metrics, tables with the report
    }


def share(study, snakemake_s: float, commands_s: dict[str, float], rates: dict) -> dict:
    """Jobs, and hours of starting and of work."""
    counts = jobs_of(study)
    jobs = sum(counts.values()) - 2 * counts["grouped"]
    starting = 2 * snakemake_s * jobs + sum(counts[name] * seconds for name, seconds in commands_s.items())
    found = estimate(study, rates)
    there = sum(start_of(kind, rates) * sum(n.values()) for kind, n in study_work.units_of(study).items())
    work = 3600 * found["hours"] - there
    return {
        "jobs": jobs,
        "starting_h": round(starting / 3600, 3),
        "work_h": round(work / 3600, 2),
        "share": round(starting / (starting + work), 4),
        "without_a_rate": found["unknown"],
    }


def main() -> None:
    arguments = parser_of(__doc__).parse_args()
    cdipipe, result = [sys.executable, "-m", "cdipipe.cli.main"], {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        commands_s = {name: processor_s([*cdipipe, *words], folder) for name, words in COMMANDS.items()}
        rates = recorded_rates()
        for study, file in study_work.study_files().items():
            subprocess.run([*cdipipe, "config", file, "--scale", "paper", "-o", folder / "s.yaml"], check=True)
            at = study_work.study_at(file, "paper")
            target = f"{at.output}/{at.used()[0]}/M.cxi"
            command = [sys.executable, "-m", "snakemake", "-n", "--cores", "1", "-s", str(ROOT / "Snakefile")]
            snakemake_s = processor_s([*command, target, "--configfile", "s.yaml"], folder)
            result[study] = {"snakemake_s": round(snakemake_s, 2), **share(at, snakemake_s, commands_s, rates)}
            print(study, result[study], flush=True)
    commands = {name: round(seconds, 2) for name, seconds in commands_s.items()}
    print(write("startups", {"commands_s": commands, "studies": result}, arguments.output))


if __name__ == "__main__":
    main()
