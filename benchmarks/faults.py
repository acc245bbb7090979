"""What ``make faults`` and the marker slurm found, from the folder they wrote to into benchmarks/results/faults.json.

python benchmarks/faults.py results/faults
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import record


def main() -> None:
    files = sorted(Path(sys.argv[1]).glob("*.json"))
    if not files:
        raise SystemExit(f"{sys.argv[1]}: no results; make faults writes them")
    print(record.write("faults", {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}))


if __name__ == "__main__":
    main()
