"""Projection kernels on a GPU, a part of benchmarks/gpu.py: parity with the reference, and HIO iterations alone.

Starts are worked on in chunks; each chunk runs all its iterations, eagerly or replaying one iteration captured in a
CUDA graph.
"""

from __future__ import annotations

import time

import torch
from kernels import Problem

from cdipipe.ops.projection import (
    CONSTRAINTS,
    project_modulus,
    project_modulus_,
    reference_project_modulus,
    reference_update_object,
    update_object,
    update_object_,
)
from cdipipe.ops.projection.iterate import iterate_

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


def parity(device: torch.device, size: int = 512) -> dict[str, float]:
    """Largest relative difference between compiled code and reference, outputs and gradients."""
    generator = torch.Generator(device).manual_seed(0)
    shape = (size, size)
    waves = [torch.randn(8, 2, *shape, dtype=torch.complex64, device=device, generator=generator) for _ in range(2)]
    modulus = torch.rand(8, *shape, device=device, generator=generator)
    mask = torch.rand(*shape, device=device, generator=generator) > 0.1
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


def synchronize() -> None:
    """Wait for what was launched."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def run_seconds(problem: Problem, batches: int, iterations: int, use_graph: bool) -> float:
    """Time of ``batches`` chunks one after the other, capture included."""
    synchronize()
    start = time.perf_counter()
    step = captured(problem).replay if use_graph else problem.iterate
    for _ in range(batches * iterations):
        step()
    synchronize()
    return time.perf_counter() - start


def scaling(device: torch.device, starts: int, size: int, times: int = 20) -> dict[str, float]:
    """Milliseconds of an iteration whose transforms scale in passes of their own, and of one whose kernel scales."""
    problem = on_device(Problem((starts, size, size), 2), device)
    rule = {"a": 1.0, "b": -0.9, "c": 0.0, "g": 0.0}

    def apart() -> None:
        wavefront = torch.fft.fft2(problem.exit_wave, norm="ortho")
        project_modulus_(wavefront, problem.modulus, problem.measured, problem.error)
        update_object_(problem.exit_wave, torch.fft.ifft2(wavefront, norm="ortho"), problem.support, **rule)

    def inside() -> None:
        iterate_(problem.exit_wave, problem.modulus, problem.measured, problem.support, problem.error, **rule)

    found = {}
    with torch.inference_mode():
        for name, iterate in (("in transforms", apart), ("in a kernel", inside)):
            iterate()
            synchronize()
            began = time.perf_counter()
            for _ in range(times):
                iterate()
            synchronize()
            found[f"{name}: ms"] = 1e3 * (time.perf_counter() - began) / times
    return found


def speed(device: torch.device, restarts: int, iterations: int, size: int) -> dict[str, float]:
    seconds = {}
    for chunk in sorted({k for k in (restarts, 50, 25, 20, 10, 5) if k <= restarts and restarts % k == 0}):
        problem = on_device(Problem((chunk, size, size), 2), device)
        run_seconds(problem, 1, 10, False)
        for use_graph in (False, True)[: 1 + (device.type == "cuda")]:
            name = f"chunks_of_{chunk}" + ("_graph" if use_graph else "")
            seconds[name] = round(
                min(run_seconds(problem, restarts // chunk, iterations, use_graph) for _ in range(3)), 4
            )
    return seconds
