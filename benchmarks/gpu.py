"""Projection kernels on a GPU: parity with the reference, and 100 restarts x 1000 HIO iterations at 512^2.

    python benchmarks/gpu.py [--restarts 100] [--iterations 1000] [--size 512] [-o FILE]

Restarts are worked on in chunks; each chunk runs all its iterations, eagerly or replaying one iteration captured in a
CUDA graph. Results go to benchmarks/results/gpu.json with the device's name. Exit code 2 without a CUDA device.
"""

from __future__ import annotations

import sys
import time

import torch
from common import parser_of, write
from kernels import HIO, Problem

from cdipipe.ops import backend
from cdipipe.ops.projection import (
    CONSTRAINTS,
    project_modulus,
    reference_project_modulus,
    reference_update_object,
    update_object,
)

TOLERANCE = 1e-5
RAAR = {"a": 0.9, "b": -0.8, "c": 0.9, "g": 1.0}


def relative_difference(got: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((got - wanted).abs().max() / wanted.abs().max())


def _forward_and_gradients(function, leaves, *arguments, **options) -> list[torch.Tensor]:
    leaves = [leaf.clone().requires_grad_(True) for leaf in leaves]
    outputs = function(*leaves, *arguments, **options)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    loss = sum(output.abs().square().sum() for output in outputs)
    return [output.detach() for output in outputs] + list(torch.autograd.grad(loss, leaves))


def parity(device: torch.device) -> dict[str, float]:
    """Largest relative difference between compiled code and reference, outputs and gradients."""
    generator = torch.Generator(device).manual_seed(0)
    waves = [torch.randn(8, 2, 512, 512, dtype=torch.complex64, device=device, generator=generator) for _ in range(2)]
    modulus = torch.rand(8, 512, 512, device=device, generator=generator)
    mask = torch.rand(512, 512, device=device, generator=generator) > 0.1
    found = {}

    def compare(name, compiled, reference, leaves, *arguments, **options):
        pairs = zip(
            _forward_and_gradients(compiled, leaves, *arguments, **options),
            _forward_and_gradients(reference, leaves, *arguments, **options),
            strict=True,
        )
        found[name] = max(relative_difference(got, wanted) for got, wanted in pairs)

    single = [waves[0][:, 0].contiguous(), modulus]
    compare("project_modulus", project_modulus, reference_project_modulus, single, mask)
    compare("project_modulus_modes", project_modulus, reference_project_modulus, [waves[0], modulus], mask, modes=True)
    for constraint in CONSTRAINTS:
        compare(f"update_object_{constraint}", update_object, reference_update_object, waves, mask, constraint, **RAAR)
    return found


def on_device(problem: Problem, device: torch.device) -> Problem:
    for name in ("exit_wave", "modulus", "measured", "support", "error"):
        setattr(problem, name, getattr(problem, name).to(device))
    return problem


def captured(problem: Problem) -> torch.cuda.CUDAGraph:
    """One iteration as a graph; FFT plans are made before, on a side stream."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            problem.iterate()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        problem.iterate()
    return graph


def run_seconds(problem: Problem, batches: int, iterations: int, use_graph: bool) -> float:
    """Time of ``batches`` chunks one after the other, capture included."""
    torch.cuda.synchronize()
    start = time.perf_counter()
    step = captured(problem).replay if use_graph else problem.iterate
    for _ in range(batches * iterations):
        step()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def speed(device: torch.device, restarts: int, iterations: int, size: int) -> dict[str, float]:
    seconds = {}
    for chunk in sorted({k for k in (restarts, 50, 25, 20, 10, 5) if k <= restarts and restarts % k == 0}):
        problem = on_device(Problem((chunk, size, size), 2), device)
        run_seconds(problem, 1, 10, False)
        for use_graph in (False, True):
            name = f"chunks_of_{chunk}" + ("_graph" if use_graph else "")
            seconds[name] = round(
                min(run_seconds(problem, restarts // chunk, iterations, use_graph) for _ in range(3)), 4
            )
            print(f"{name:>20} {seconds[name]} s", flush=True)
    return seconds


def main() -> int:
    parser = parser_of(__doc__)
    for name, value in (("restarts", 100), ("iterations", 1000), ("size", 512)):
        parser.add_argument(f"--{name}", type=int, default=value)
    arguments = parser.parse_args()
    if not torch.cuda.is_available() or not backend.has_native("cuda"):
        why = backend.describe().get("cuda_message") or f"torch {torch.__version__} sees no CUDA device"
        print(f"benchmarks/gpu.py: needs a CUDA device and CUDA kernels: {why}", file=sys.stderr)
        return 2
    device = torch.device("cuda", torch.cuda.current_device())
    differences = parity(device)
    with torch.inference_mode():
        seconds = speed(device, arguments.restarts, arguments.iterations, arguments.size)
    result = {
        "device": torch.cuda.get_device_name(device),
        "cuda": torch.version.cuda,
        "rule": HIO,
        "restarts": arguments.restarts,
        "iterations": arguments.iterations,
        "size": arguments.size,
        "parity": differences,
        "parity_holds": max(differences.values()) <= TOLERANCE,
        "seconds": seconds,
        "best_seconds": min(seconds.values()),
    }
    print(write("gpu", result, arguments.output))
    return 0 if result["parity_holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
