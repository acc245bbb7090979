"""What ``make faults`` and the marker slurm found, from the folder they wrote to into benchmarks/results/faults.json.

    python benchmarks/faults.py results/faults

Each says at which commit it was found; what was not run again keeps the record that it has.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import common


def main() -> None:
    files = sorted(Path(sys.argv[1]).glob("*.json"))
    if not files:
        raise SystemExit(f"{sys.argv[1]}: no results; make faults writes them")
    kept = json.loads((common.RESULTS / "faults.json").read_text(encoding="utf-8"))
    found = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}
    commit = common.machine()["commit"]
    whole = {name: part for name, part in kept.items() if name not in ("benchmark", "machine")}
    print(common.write("faults", whole | {name: part | {"at_commit": commit} for name, part in found.items()}))


if __name__ == "__main__":
    main()
