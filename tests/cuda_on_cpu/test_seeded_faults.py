"""Faults put into copies of the kernels are found by the tests: one of each kind that GPUs do not forgive."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from emulator.build import CSRC, compile_cuda, link, objects
from emulator.processes import ROOT, command, environment

BUILT = ROOT / "build/cuda_on_cpu"


@dataclass(frozen=True)
class Fault:
    """``before`` stands once in a .cu file; with ``after`` instead, tests must fail in these words."""

    file: str
    before: str
    after: str
    tests: str
    select: str
    words: str


FAULTS = {
    "barrier before a sum": Fault(
        "projection",
        "shared[threadIdx.x] = value;\n  __syncthreads();",
        "shared[threadIdx.x] = value;\n",
        "tests/ops/test_project_modulus.py",
        "forward_matches_reference and several",
        "assert_close",
    ),
    "barrier between steps of a sum": Fault(
        "projection",
        "shared[threadIdx.x + half];\n    __syncthreads();",
        "shared[threadIdx.x + half];\n",
        "tests/ops/test_project_modulus.py",
        "forward_matches_reference and several",
        "assert_close",
    ),
    "barrier of some threads": Fault(
        "hexplane",
        "  __syncthreads();\n  if (threadIdx.y != 0",
        "  if (threadIdx.y != 1) __syncthreads();\n  if (threadIdx.y == 1) __syncthreads();\n  if (threadIdx.y != 0",
        "tests/ops/test_hexplane.py",
        "block_matches_reference and static",
        "different barriers",
    ),
    "bound of a block": Fault(
        "projection",
        "begin + kBlockPixels < pixels ? begin + kBlockPixels : pixels",
        "begin + kBlockPixels",
        "tests/ops/test_update_object.py",
        "forward_matches_reference and one",
        "AddressSanitizer: heap-buffer-overflow",
    ),
    "bound that is one too far": Fault(
        "wpc",
        "if (at >= floats) return;",
        "if (at > floats) return;",
        "tests/ops/test_wpc.py",
        "renormalise_matches_reference and batch",
        "AddressSanitizer: heap-buffer-overflow",
    ),
    "int32 index of a thread": Fault(
        "hexplane",
        "return static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;",
        "return static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);",
        "tests/cuda_on_cpu/test_large.py",
        "points",
        "signed integer overflow",
    ),
    "uint32 index of a pixel": Fault(
        "projection",
        "    const int64_t at = range.item * arrays.pixels + pixel;\n    const Pair p",
        "    const unsigned at = range.item * arrays.pixels + pixel;\n    const Pair p",
        "tests/cuda_on_cpu/test_large.py",
        "objects",
        "not close",
    ),
    "two floats at an address of one": Fault(
        "projection",
        "reinterpret_cast<const float2*>(base)[pixel]",
        "reinterpret_cast<const float2*>(base + 1)[pixel]",
        "tests/ops/test_update_object.py",
        "forward_matches_reference and one",
        "misaligned address",
    ),
    "rows of a grid": Fault(
        "wpc",
        "rows < kMaxRows ? rows : kMaxRows",
        "rows",
        "tests/cuda_on_cpu/test_large.py",
        "renormalise",
        "invalid configuration argument",
    ),
}


def with_fault(fault: Fault, folder: Path) -> Path:
    """The module, with one .cu file of another text."""
    source = CSRC / fault.file / f"{fault.file}_cuda.cu"
    text = source.read_text()
    assert text.count(fault.before) == 1, f"{source} has changed: write this fault anew"
    changed = compile_cuda(source, folder, text.replace(fault.before, fault.after))
    return link([changed, *(each for each in objects(BUILT) if each.name != changed.name)], folder / "_native.so")


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_found(fault, tmp_path):
    module = with_fault(fault, tmp_path)
    tests = command("-x", "-s", "-n0", "-k", fault.select, ROOT / fault.tests)
    done = subprocess.run(tests, env=environment(module), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode not in (0, 5) and fault.words in done.stdout + done.stderr, done.stdout[-3000:]
