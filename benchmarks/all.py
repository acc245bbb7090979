"""Every benchmark of ``cdipipe bench`` in turn, recorded in benchmarks/results; hours on two cores.

    python benchmarks/all.py [NAME ...]

One that cannot run here (no GPU, no measured data, an extra not installed) is named at the end and keeps the record
that it has; the others run all the same.
"""

from __future__ import annotations

import subprocess
import sys

from cdipipe.cli.bench import BENCHMARKS


def main() -> None:
    names = sys.argv[1:] or list(BENCHMARKS)
    failed = []
    for name in names:
        print(f"== {name}: {BENCHMARKS[name][1]}" if name in BENCHMARKS else f"== {name}", flush=True)
        command = [sys.executable, "-m", "cdipipe.cli.main", "bench", name, "--keep"]
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
    print(f"recorded {len(names) - len(failed)} of {len(names)} benchmarks; not here: {', '.join(failed) or 'none'}")
    if failed and sys.argv[1:]:  # asked for by name
        raise SystemExit(2)


if __name__ == "__main__":
    main()
