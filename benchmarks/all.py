"""Every benchmark of ``cdipipe bench`` in turn, recorded in benchmarks/results; hours on two cores.

    python benchmarks/all.py [NAME ...]

Of the studies only those run that have a record: others take days. Their names are as `cdipipe bench` lists them.
One that cannot run here (no GPU, no measured data, an extra not installed) is named at the end and keeps the record
that it has; the others run all the same.
"""

from __future__ import annotations

import subprocess
import sys

from cdipipe.cli.bench import BENCHMARKS, FOLDER


def recorded() -> list[str]:
    """All benchmarks, but of the studies those that were recorded."""
    known = {file.stem for file in (FOLDER / "results").glob("*.json")}
    return [
        name for name, benchmark in BENCHMARKS.items() if "study.py" not in benchmark.call or benchmark.record in known
    ]


def main() -> None:
    names = sys.argv[1:] or recorded()
    failed = []
    for name in names:
        print(f"== {name}: {BENCHMARKS[name].text}" if name in BENCHMARKS else f"== {name}", flush=True)
        command = [sys.executable, "-m", "cdipipe.cli.main", "bench", name, "--keep"]
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
    print(f"recorded {len(names) - len(failed)} of {len(names)} benchmarks; not here: {', '.join(failed) or 'none'}")
    if failed and sys.argv[1:]:  # asked for by name
        raise SystemExit(2)


if __name__ == "__main__":
    main()
