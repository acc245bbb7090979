"""Where and with what a benchmark ran, and one JSON file per result."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def machine() -> dict:
    """Processor, threads, versions and commit, as plain data."""
    import numpy
    import torch

    import cdipipe
    from cdipipe.ops import backend

    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    cpu = platform.processor()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), cpu)
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "simd": torch.backends.cpu.get_cpu_capability(),
        "backend": backend.name(torch.device("cpu")),
        "versions": {"cdipipe": cdipipe.__version__, "torch": torch.__version__, "numpy": numpy.__version__},
        "commit": commit.stdout.strip(),
    }


def write(name: str, result: dict, output: Path | None = None) -> Path:
    """Write ``{machine, ...result}`` to benchmarks/results/NAME.json (or ``output``) and return the path."""
    path = output or RESULTS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"benchmark": name, "machine": machine(), **result}, indent=1) + "\n")
    return path
