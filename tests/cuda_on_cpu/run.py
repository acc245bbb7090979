"""Runs the tests of kernels on CUDA kernels that g++ compiled for the CPU; arguments go to pytest."""

from __future__ import annotations

import subprocess
import sys

from emulator.build import build
from emulator.processes import HERE, ROOT, command, environment, tests_of_kernels

if __name__ == "__main__":
    module = build(ROOT / "build/cuda_on_cpu")
    arguments = sys.argv[1:] or ["-n", "2", "--dist", "loadfile", *tests_of_kernels(), HERE]
    sys.exit(subprocess.call(command(*arguments), env=environment(module), cwd=ROOT))
