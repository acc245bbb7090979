"""The table of docs/studies.md, from the studies recorded in benchmarks/results by ``benchmarks/study.py``.

    python benchmarks/study_costs.py           writes it into docs/studies.md
    python benchmarks/study_costs.py --check   exit code 1 if the page has another one

Nothing is guessed: a scale that was never run and recorded says so.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import record

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/studies.md"
BEGIN, END = "<!-- table of benchmarks/study_costs.py -->", "<!-- end of table -->"
SCALES = ("tiny", "laptop", "paper")


def recorded(results: Path = record.RESULTS) -> dict[tuple[str, str], dict]:
    """(study, scale) -> record."""
    found = {}
    for file in sorted(results.glob("study_*.json")):
        name = file.stem.removeprefix("study_")
        study, _, scale = name.rpartition("_")
        found[(study, scale) if scale in SCALES else (name, "as it is")] = json.loads(file.read_text())
    return found


def studies() -> list[str]:
    """Names of all studies that have the scale ``paper``."""
    from cdipipe.config import load_mapping

    files = sorted((ROOT / "config").rglob("*.yaml"))
    return [file.stem for file in files if "paper" in load_mapping(file).get("scales", {})]


def table(found: dict[tuple[str, str], dict]) -> str:
    """The table as Markdown."""
    lines = ["| study | scale | jobs | core-hours | memory of a job | disk | on |", "|---|---|---|---|---|---|---|"]
    for study in studies():
        ran = [scale for scale in (*SCALES, "as it is") if (study, scale) in found]
        lines += [_row(study, scale, found[study, scale]) for scale in ran]
        missing = [scale for scale in SCALES if scale not in ran and _has(study, scale)]
        if missing:
            lines.append(f"| `{study}` | {', '.join(missing)} | not recorded yet | | | | |")
    return "\n".join(lines)


def _has(study: str, scale: str) -> bool:
    from cdipipe.config import load_mapping

    file = next((ROOT / "config").rglob(f"{study}.yaml"))
    return scale in load_mapping(file)["scales"]


def _row(study: str, scale: str, result: dict) -> str:
    costs, machine = result["costs"], result["machine"]
    on = f"{result['cores']} cores, {result['wall_s'] / 60:.0f} min ({machine['simd']}, commit {machine['commit']})"
    hours = f"{costs['processor_hours']:.2f}"
    return (
        f"| `{study}` | {scale} | {costs['jobs']} | {hours} | {costs['largest_memory_MiB']:.0f} MiB | "
        f"{costs['disk_MiB']:.0f} MiB | {on} |"
    )


def page_with(table_text: str) -> str:
    """The page with this table in its place."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    return f"{before}{BEGIN}\n\n{table_text}\n\n{END}{rest.partition(END)[2]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    wanted = page_with(table(recorded()))
    if parser.parse_args().check:
        sys.exit(wanted != PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(wanted, encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
