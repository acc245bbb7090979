"""The table of docs/studies.md, from the studies recorded in benchmarks/results by ``benchmarks/study.py``.

    python benchmarks/study_costs.py           writes it into docs/studies.md
    python benchmarks/study_costs.py --check   exit code 1 if the page has another one

A scale that was never run is estimated: its work, counted by benchmarks/study_work.py, times the rates of
benchmarks/study_rates.py. Such figures have a tilde; kinds of jobs without a rate are named, and not in them.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import study_work
from common import RESULTS, ROOT, parser_of

from cdipipe.networks.registry import all_networks
from cdipipe.study.sizes import disk_bytes

PAGE = ROOT / "docs/studies.md"
BEGIN, END = "<!-- table of benchmarks/study_costs.py -->", "<!-- end of table -->"
SCALES = ("tiny", "laptop", "paper")


def recorded(results: Path = RESULTS) -> dict[tuple[str, str], dict]:
    """(study, scale) -> record."""
    found = {}
    for file in sorted(results.glob("study_*.json")):
        name = file.stem.removeprefix("study_")
        study, _, scale = name.rpartition("_")
        found[(study, scale) if scale in SCALES else (name, "as it is")] = json.loads(file.read_text())
    return found


def recorded_rates(results: Path = RESULTS) -> dict[str, dict]:
    """kind of job -> its rate, as benchmarks/study_rates.py wrote it."""
    return json.loads((results / "study_rates.json").read_text())["rates"]


def table(found: dict[tuple[str, str], dict], rates: dict[str, dict]) -> str:
    """The table as Markdown."""
    lines = ["| study | scale | jobs | core-hours | of it training | disk | run on |", "|---|---|---|---|---|---|---|"]
    for study, file in study_work.study_files().items():
        for scale in (*SCALES, "as it is"):
            if (study, scale) in found:
                lines.append(_row(study, scale, found[study, scale]))
            elif scale in study_work.load_mapping(file)["scales"]:
                lines.append(_estimated(study, file, scale, rates))
    return "\n".join(lines)


def estimate(study, rates: dict[str, dict]) -> dict:
    """Core-hours of a study and of its trainings, its jobs, and the kinds of them that have no rate."""
    hours, training, jobs, unknown = 0.0, 0.0, 0, set()
    for kind, sizes in study_work.units_of(study).items():
        each = start_of(kind, rates)
        rate = rate_of(kind, rates)
        if rate is None:
            unknown.add(kind)
        spent = sum(count * (each + units * (rate or 0.0)) for units, count in sizes.items()) / 3600
        hours += spent
        training += spent if kind.startswith("train ") else 0.0
        jobs += sum(sizes.values())
    return {"hours": hours, "training": training, "jobs": jobs, "unknown": sorted(unknown)}


def rate_of(kind: str, rates: dict[str, dict]) -> float | None:
    """Processor seconds per unit; of steps that have no rate together, that of the slowest iterations among them.

    Where it is unknown for a movie, or with these settings, that of the same steps without.
    """
    steps, _, ndim = kind.rpartition(" ")
    plain, ndim = steps.partition(":")[0], ndim.removesuffix("+t")
    for name in (kind, f"{steps} {ndim}", f"{plain} {ndim}"):
        if "units" in rates.get(name, {}):
            return rates[name]["inside_s"] / rates[name]["units"]
    steps = plain
    iterate = {step for step in steps.split("+") if step not in all_networks()}  # a network sees a pattern once
    alike = [other for other in rates if "units" in rates[other] and other.endswith(f" {ndim}")]
    alike = [other for other in alike if iterate & set(other.split(" ")[0].split("+"))]
    alike = [other for other in alike if not set(other.split(" ")[0].split("+")) & set(all_networks())]
    return max((rates[other]["inside_s"] / rates[other]["units"] for other in alike), default=None)


def start_of(kind: str, rates: dict[str, dict]) -> float:
    """Processor seconds that a job of this kind takes anyway: a program starts, libraries are loaded, files written."""
    return rates.get(kind if kind in ("measure", "evaluate", "plot") else "reconstruct", {}).get("start_s", 0.0)


def _estimated(study: str, file: Path, scale: str, rates: dict[str, dict]) -> str:
    at = study_work.study_at(file, scale)
    found = estimate(at, rates)
    without = f"; without a rate: {', '.join(found['unknown'])}" if found["unknown"] else ""
    return (
        f"| `{study}` | {scale} | ~{found['jobs']} | ~{_short(found['hours'])} | ~{_short(found['training'])} | "
        f"at most {_size(disk_bytes(at))} | estimated{without} |"
    )


def _short(hours: float) -> str:
    """Two digits: nothing here is known better."""
    if hours == 0:
        return "0"
    digits = max(0, 1 - math.floor(math.log10(hours)))
    return f"{round(hours, 1 - math.floor(math.log10(hours))):,.{digits}f}"


def _size(count: float) -> str:
    mebi = max(count / 2**20, 1)
    return f"{mebi:.0f} MiB" if mebi < 1024 else f"{mebi / 1024:,.0f} GiB"


def _row(study: str, scale: str, result: dict) -> str:
    costs, machine = result["costs"], result["machine"]
    cores = "1 core" if result["cores"] == 1 else f"{result['cores']} cores"
    on = f"{cores}, {result['wall_s'] / 60:.0f} min ({machine['simd']}, commit {machine['commit']})"
    hours = f"{costs['processor_hours']:.2f}"
    rules = costs["processor_s_of_rule"]
    return (
        f"| `{study}` | {scale} | {costs['jobs']} | {hours} | {rules.get('train', 0) / 3600:.2f} | "
        f"{costs['disk_MiB']:.0f} MiB | {on} |"
    )


def page_with(table_text: str) -> str:
    """The page with this table in its place."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    return f"{before}{BEGIN}\n\n{table_text}\n\n{END}{rest.partition(END)[2]}"


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--check", action="store_true")
    wanted = page_with(table(recorded(), recorded_rates()))
    if parser.parse_args().check:
        sys.exit(wanted != PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(wanted, encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
