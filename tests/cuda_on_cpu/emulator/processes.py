"""Processes of pytest that run on emulated kernels.

The kernels look at every address with the address sanitiser, which must be in the process from its start.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parents[1]
ROOT = HERE.parents[1]
KERNEL_TESTS = (
    "hexplane",
    "iterate",
    "project_modulus",
    "relax_modulus",
    "subtract_projection",
    "update_object",
    "wpc",
)


def environment(module: Path, **more: str) -> dict[str, str]:
    """Variables of a process that takes its kernels from ``module``."""
    libraries = []
    for name in ("libasan.so", "libubsan.so", "libstdc++.so"):
        libraries.append(subprocess.check_output(["g++", f"-print-file-name={name}"], text=True).strip())
    path = os.pathsep.join([str(ROOT), str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    return os.environ | {
        "ASAN_OPTIONS": "detect_leaks=0",
        "CDIPIPE_BACKEND": "native",
        "CDIPIPE_CUDA": "OFF",  # nobody looks for the code of a GPU in the module
        "CUDA_ON_CPU_MODULE": str(module),
        "CUDA_ON_CPU_ORDER": "each",
        "CUDA_ON_CPU_STREAM": "7",
        "LD_PRELOAD": " ".join(libraries),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": path,
        **more,
    }


def command(*arguments: object) -> list[str]:
    """pytest with emulated kernels; tests that ask for a real GPU stay out."""
    pytest = [sys.executable, "-m", "pytest", "-p", "emulator.plugin", "-p", "no:cacheprovider", "-m", "not cuda"]
    return [*pytest, *map(str, arguments)]


def tests_of_kernels() -> list[Path]:
    """Those of tests/ops that call kernels of which there is CUDA code."""
    return [ROOT / f"tests/ops/test_{name}.py" for name in KERNEL_TESTS]
