"""The CUDA half on a GPU: tests of ops, methods and networks first, then what takes how long.

    python benchmarks/gpu.py --all [--minutes 14] [-o FILE]
    python benchmarks/gpu.py [tests] [methods] [kernels] [hio] [savings] [dpr] [cdip] [cdi_nn] [training]
    python benchmarks/gpu.py --all --cpu-rehearsal -o FILE

tests      tests/ops, phasing, methods, networks and training with CDIPIPE_DEVICE=cuda, a minute each at most
methods    every method on a few pixels: the same bits twice, and its R-factor beside that of the CPU
kernels    kernels beside the reference, and HIO iterations alone, in chunks and as CUDA graphs
hio        100 starts of 1000 iterations at 512^2, from a measurement to ranked, aligned objects
savings    with and without: scaling in a kernel, CUDA graphs of small batches, stacks in one batch
dpr        a pattern of 512^2 in batches
cdip       2000 steps of a neural field on one shot
cdi_nn     patterns a second in one large batch
training   takes what is left of the minutes, ten at most; it is stopped half-way and goes on

The record is written after every stage, with the name of the card, so that a run that is cut short leaves what it
did; stages that do not fit any more are named. The rehearsal does the same on the CPU in tiny sizes, to see that
nothing is misspelt. Without a GPU that can be used: one line that says why, and exit code 2.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from pathlib import Path

import torch
from common import RESULTS, parser_of, write
from gpu_stages import REHEARSAL, STAGES, Sizes

from cdipipe.errors import InputError
from cdipipe.ops import backend, gpu_faults, gpus
from cdipipe.ops.device import choose_device

LEAST_S = {"tests": 60.0, "training": 60.0}
"""What a stage must find left of the time; others 10 s."""


def run(names: list[str], device: str, sizes: Sizes, minutes: float, output: Path) -> dict:
    """Stages in their order while there is time; what fails is written down, and the next one begins."""
    ends = time.perf_counter() + 60 * minutes
    record: dict = {"device": _card(device), "cuda": torch.version.cuda, "kernels": backend.name(device), "stages": {}}
    record |= {"kernels_built_for": list(backend.kernel_architectures()), "left_out": []}
    for name in names:
        left = ends - time.perf_counter()
        if left < LEAST_S.get(name, 10.0) and sizes is not REHEARSAL:
            record["left_out"].append(name)
            continue
        if name == "training":
            sizes = dataclasses.replace(sizes, train_s=min(sizes.train_s, left - 45)) if left > 60 else sizes
        began = time.perf_counter()
        try:
            found = STAGES[name](device, sizes)
        except Exception as error:  # minutes on a GPU are few: the other stages go on
            found = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"}
        record["stages"][name] = found | {"stage_s": round(time.perf_counter() - began, 1)}
        print(f"{name}: {record['stages'][name]}", flush=True)
        write("gpu", record, output)
    return record


def _card(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else "a rehearsal on the CPU"


def faults_of(record: dict) -> list[str]:
    """What a reader must not overlook."""
    stages = record["stages"]
    found = [f"{name}: {stage['error']}" for name, stage in stages.items() if "error" in stage]
    for folder, told in stages.get("tests", {}).items():
        if isinstance(told, dict) and (told["failures"] or told.get("failed")):
            found.append(f"{folder}: {', '.join(told['failures']) or told['failed']}")
    for name, told in stages.get("methods", {}).items():
        if isinstance(told, dict) and not told.get("same_bits"):
            found.append(f"method {name}: {told.get('error', 'other bits the second time')}")
    if not stages.get("kernels", {}).get("parity_holds", True):
        found.append(f"kernels: {stages['kernels']['parity']}")
    if not stages.get("training", {}).get("went_on", True):
        found.append(f"training: {stages['training']['steps']}")
    return found


def main() -> int:
    parser = parser_of(__doc__)
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=f"any of {', '.join(STAGES)}")
    parser.add_argument("--all", action="store_true", help="every stage")
    parser.add_argument("--minutes", type=float, default=14.0, help="for all stages together")
    parser.add_argument("--cpu-rehearsal", action="store_true", help="the same on the CPU, in tiny sizes")
    arguments = parser.parse_args()
    if unknown := set(arguments.stages) - set(STAGES):
        parser.error(f"unknown stage {sorted(unknown)}")
    names = list(STAGES) if arguments.all or not arguments.stages else arguments.stages
    if arguments.cpu_rehearsal:
        if arguments.output is None:
            parser.error("--cpu-rehearsal: needs -o FILE; the record in benchmarks/results is that of a GPU")
        device, sizes = "cpu", REHEARSAL
    else:
        try:
            device, sizes = choose_device("cuda"), Sizes()
        except InputError as error:
            print(f"benchmarks/gpu.py: {error}; --cpu-rehearsal tries the script itself", file=sys.stderr)
            return 2
        if fault := gpu_faults.why_no_kernels(gpus.facts()):
            print(f"benchmarks/gpu.py: {fault}; torch computes in their place", file=sys.stderr)
    output = arguments.output or RESULTS / "gpu.json"
    faults = faults_of(run(names, device, sizes, arguments.minutes, output))
    print(output, *faults, sep="\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
