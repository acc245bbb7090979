"""What a study costs and finds: wall time, processor hours, memory, disk and its tables.

    python benchmarks/study.py config/papers/lodip.yaml --scale laptop --cores 2

runs the study as `make run` does and writes benchmarks/results/study_NAME_SCALE.json. A study that is complete is not
run again: with `--wall-s`, its time as noted elsewhere, the rest is collected from its folder.
"""

from __future__ import annotations

import csv
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import study_work
from common import ROOT, parser_of, write

from cdipipe.study.config import Config, load_config

HEADS = ("row", "method", "first")
WORDS = ("method", "metric", "first", "second")


def run(config: Path, cores: int) -> float:
    """Run a study through the workflow; seconds that it took."""
    began = time.monotonic()
    command = [sys.executable, "-m", "snakemake", "--cores", str(cores), "--configfile", str(config)]
    subprocess.run([*command, "--workflow-profile", "workflow/profiles/local"], cwd=ROOT, check=True)
    return time.monotonic() - began


def costs(output: Path) -> dict:
    """Sums over the jobs of a study, from what Snakemake noted beside each."""
    per_rule: dict[str, float] = {}
    jobs = {file: rows_of(file) for file in sorted((output / "benchmarks").glob("*.tsv"))}
    for file in jobs:
        rule = file.stem.split(".")[-1]
        per_rule[rule] = per_rule.get(rule, 0.0) + processor_s(file)
    rows = [row for found in jobs.values() for row in found]
    return {
        "jobs": len(rows),
        "processor_hours": sum(per_rule.values()) / 3600,  # sampled; exact where it was run here
        "processor_s_of_rule": per_rule,
        "largest_memory_MiB": max(float(row["max_rss"]) for row in rows),
        "disk_MiB": sum(file.stat().st_size for file in output.rglob("*") if file.is_file()) / 2**20,
    }


def processor_s(file: Path) -> float:
    """Of a job. Of a training that was stopped Snakemake notes the last part, its curve how long all took."""
    rows = rows_of(file)
    noted, lasted = (sum(float(row[key]) for row in rows) for key in ("cpu_time", "s"))
    curve = file.parent.parent / file.stem.removesuffix(".train") / "curve.tsv"
    whole = float(rows_of(curve)[-1]["seconds"]) if curve.exists() else 0.0
    return noted * max(1.0, whole / max(lasted, 1e-9))


def rates(study: Config) -> dict[str, list[dict]]:
    """Of every kind of job: units of work, how many such jobs, their processor seconds and those inside the method."""
    found: dict[str, dict[float, dict]] = {}
    for kind, units, name in study_work.jobs_of(study):
        file = ROOT / study.output / "benchmarks" / f"{name}.tsv"
        if not file.exists():
            continue
        row = rows_of(file)[-1]
        entry = found.setdefault(kind, {}).setdefault(
            units, {"units": units, "jobs": 0, "processor_s": 0.0, "inside_s": 0.0}
        )
        entry["jobs"] += 1
        entry["processor_s"] += processor_s(file)
        entry["inside_s"] += inside(study, name) * float(row["cpu_time"]) / max(float(row["s"]), 1e-9)
    return {kind: list(entries.values()) for kind, entries in found.items()}


def inside(study: Config, name: str) -> float:
    """Seconds inside the method of a reconstruction, without start-up and files; 0 of other jobs."""
    if not name.endswith(".reconstruct"):
        return 0.0
    measurement, method, _ = name.split(".")
    return float(json.loads((ROOT / study.output / measurement / method / "metrics.json").read_text())["seconds"])


def rows_of(file: Path) -> list[dict]:
    """Rows of a table with a header, numbers that are missing as 0."""
    with file.open() as text:
        rows = csv.DictReader(text, delimiter="\t")
        return [{key: "0" if value in ("-", "NA", "") else value for key, value in row.items()} for row in rows]


def tables(output: Path) -> dict:
    """Every table of the study: row -> column -> mean, spread and number of patterns."""
    found: dict = {}
    for file in sorted((output / "tables").glob("*.tsv")):
        for row in next(iter(blocks_of(file)), []):
            if "row" in row:
                entry = {key: float(row[key]) for key in ("mean", "spread", "patterns") if row[key]}
                found.setdefault(f"{file.stem}: {row['metric']}", {}).setdefault(row["row"], {})[row["column"]] = entry
    return found


def distributions(output: Path) -> dict:
    """Every distribution of the study: of each method mean, spread and quartiles, and of each pair the tests."""
    found: dict = {}
    for file in sorted((output / "tables").glob("*.tsv")):
        methods, *pairs = blocks_of(file) or [[{}]]
        if "method" in methods[0]:
            metric = f"{file.stem}: {methods[0]['metric']}"
            found[metric] = {row["method"]: numbers(row) for row in methods}
            found[metric] |= {f"{row['first']} - {row['second']}": numbers(row) for block in pairs for row in block}
    return found


def blocks_of(file: Path) -> list[list[dict]]:
    """Rows of the tables in a file, where a line that begins with a word of ``HEADS`` begins one; curves have none."""
    blocks: list[list[str]] = []
    for line in file.read_text().splitlines():
        if line.split("\t")[0] in HEADS:
            blocks.append([])
        if blocks:
            blocks[-1].append(line)
    return [list(csv.DictReader(block, delimiter="\t")) for block in blocks]


def numbers(row: dict) -> dict[str, float]:
    return {key: float(value) for key, value in row.items() if key not in WORDS and value}


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--scale")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--wall-s", type=float, help="do not run it: it is complete and took so long")
    arguments = parser.parse_args()
    name = f"study_{arguments.config.stem}" + (f"_{arguments.scale}" if arguments.scale else "")
    copy = ROOT / "results" / f"{name}.yaml"
    command = ["cdipipe", "config", str(arguments.config), "-o", str(copy)]
    copy.parent.mkdir(exist_ok=True)
    subprocess.run([*command, *(["--scale", arguments.scale] if arguments.scale else [])], check=True)
    wall = arguments.wall_s or run(copy, arguments.cores)
    study = load_config(copy)
    output = ROOT / study.output
    result = {"cores": arguments.cores, "wall_s": wall, "costs": costs(output), "tables": tables(output)}
    result |= {"distributions": distributions(output), "rates": rates(study)}
    if not arguments.wall_s:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        result["costs"]["processor_hours"] = (used.ru_utime + used.ru_stime) / 3600
    print(write(name, result, arguments.output))


if __name__ == "__main__":
    main()
