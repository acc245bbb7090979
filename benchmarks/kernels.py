"""Projection kernels against bare FFTs: what an HIO iteration costs beyond its two transforms.

    python benchmarks/kernels.py [iteration] [program] [chunks] [normalisation] [page_faults] [-o FILE]

iteration       one HIO iteration against two bare FFTs of its size, per instruction set: those of torch.fft, and those
                with kept plans, which the iteration uses where PyTorch has MKL; processor time of one thread
program         one HIO iteration of a whole reconstruction and of cohere's (extra ``bench``) over two bare FFTs;
                processor time of one thread, the support updated at every 20th iteration
chunks          cost per restart and iteration of 32 x 512^2 when worked on k at a time
normalisation   the FFT's orthonormal scale against an unscaled FFT
page_faults     iterations on arrays above 32 MiB, which glibc maps afresh each time; compare with a run under
                THP_MEM_ALLOC_ENABLE=1, where torch asks for huge pages (set it before the start)

Variants alternate within one process and medians are reported. On a busy machine several threads wait for each other
by the scheduler's quantum; then only ``ratio_of_fastest``, from the fastest call of each, means something.
The instruction set is that of our kernels; the FFT always uses the best one, so ratios below it are pessimistic.
Results go to benchmarks/results/kernels.json.
"""

from __future__ import annotations

import os
import resource
import time

import torch
from common import alternate, milliseconds, processor_seconds, ratio, ratio_of_fastest, run_all

import cdipipe as cdi
from cdipipe.ops import backend, fft
from cdipipe.ops.projection.iterate import iterate_

HIO = {"a": 1.0, "b": -0.9, "c": 0.0, "g": 0.0}
SHAPES = {
    "128^2": ((1, 128, 128), 2),
    "4 x 128^2": ((4, 128, 128), 2),
    "8 x 128^2": ((8, 128, 128), 2),
    "256^2": ((1, 256, 256), 2),
    "512^2": ((1, 512, 512), 2),
    "8 x 512^2": ((8, 512, 512), 2),
    "1024^2": ((1, 1024, 1024), 2),
    "64^3": ((1, 64, 64, 64), 3),
    "128^3": ((1, 128, 128, 128), 3),
}
PROGRAM = ("128^2", "8 x 128^2", "512^2", "64^3", "128^3")
FEW = 20
"""Iterations of the shorter run of two."""
SECONDS = 2.0
"""For one row."""
LARGE = {"32 x 512^2": ((32, 512, 512), 2), "8 x 1024^2": ((8, 1024, 1024), 2), "256^3": ((1, 256, 256, 256), 3)}


class Problem:
    """Random arrays of one size; a batch of iterates that share modulus, mask and support."""

    def __init__(self, shape: tuple[int, ...], ndim: int, seed: int = 0):
        generator = torch.Generator().manual_seed(seed)
        grid = shape[-ndim:]
        self.ndim = ndim
        self.exit_wave = torch.randn(shape, dtype=torch.complex64, generator=generator)
        self.modulus = torch.rand(grid, generator=generator)
        self.measured = torch.rand(grid, generator=generator) > 0.02
        self.support = torch.zeros(grid, dtype=torch.bool)
        self.support[tuple(slice(size // 4) for size in grid)] = True
        self.error = torch.empty(shape[:-ndim], dtype=torch.float64)

    def iterate(self, batch: slice = slice(None)) -> None:
        masks = self.measured, self.support
        iterate_(self.exit_wave[batch], self.modulus, *masks, self.error[batch], **HIO, ndim=self.ndim)

    def transform(self) -> None:
        axes = tuple(range(-self.ndim, 0))
        torch.fft.ifftn(torch.fft.fftn(self.exit_wave, dim=axes, norm="ortho"), dim=axes, norm="ortho")

    def transform_with_plans(self) -> None:
        fft.transform_(fft.transform(self.exit_wave, self.ndim), self.ndim, inverse=True)

    def transform_unscaled(self) -> None:
        axes = tuple(range(-self.ndim, 0))
        torch.fft.ifftn(torch.fft.fftn(self.exit_wave, dim=axes, norm="backward"), dim=axes, norm="forward")


def iteration() -> dict:
    before, results = backend.native.simd_level(), {}
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    for level in reversed(backend.native.simd_levels()):
        backend.native.set_simd_level(level)
        for name, (shape, ndim) in SHAPES.items():
            problem = Problem(shape, ndim)
            variants = {"two_ffts": problem.transform, "two_planned": problem.transform_with_plans}
            variants["hio"] = problem.iterate
            times = alternate(variants, SECONDS, turns=6, warm=2, clock=clock)
            row = milliseconds(times) | {"ratio": ratio(times, "hio", "two_ffts")}
            row["ratio_of_fastest"] = ratio_of_fastest(times, "hio", "two_ffts")
            row["ratio_to_planned"] = ratio(times, "hio", "two_planned")
            results.setdefault(name, {})[level] = row
            print(f"{name:>10} {level:>8} {row}", flush=True)
    backend.native.set_simd_level(before)
    return results


def program(iterations: int = 200, repetitions: int = 4) -> dict:
    """Least processor time of an iteration, from runs of two lengths, so that what runs do once is left out."""
    results, threads = {}, torch.get_num_threads()
    torch.set_num_threads(1)
    for name in PROGRAM:
        shape, ndim = SHAPES[name]
        measurement = cdi.simulate("polygons", size=shape[-1], dimensions=ndim)
        problem, count = Problem(shape, ndim), iterations if measurement.intensity.size < 2**20 else iterations // 5
        works = {"two_ffts": lambda n, problem=problem: [problem.transform() for _ in range(n)]}
        works["program"] = lambda n, m=measurement, starts=shape[0]: run_program(m, n, starts)
        if shape[0] == 1:  # it runs one start at a time
            works["cohere"] = lambda n, m=measurement: run_cohere(m, n)
        short, long = {work: [] for work in works}, {work: [] for work in works}
        for _ in range(repetitions):
            for work, run in works.items():
                short[work].append(processor_seconds(lambda run=run: run(FEW))[1])
                long[work].append(processor_seconds(lambda run=run, n=count + FEW: run(n))[1])
        least = {work: (min(long[work]) - min(short[work])) / count for work in works}
        row = {f"{work}_ms": round(1e3 * seconds, 4) for work, seconds in least.items()}
        row |= {f"{work}_ratio": round(least[work] / least["two_ffts"], 2) for work in works if work != "two_ffts"}
        results[name] = row
        print(f"{name:>10} {row}", flush=True)
    torch.set_num_threads(threads)
    return results


def run_program(measurement, iterations: int, starts: int) -> None:
    updates = {"every": 20, "sigma_start_px": 1.0, "sigma_end_px": 1.0, "threshold": 0.2}
    recipe = {"method": "hio", "iterations": iterations, "closing_er": 0, "shrink_wrap": updates}
    cdi.reconstruct(measurement, recipe, restarts=starts)


def run_cohere(measurement, iterations: int) -> None:
    from peers import run_cohere

    run_cohere(measurement.intensity, f"{iterations}*HIO", shrink_every=20, sigma_px=1.0, threshold=0.2)


def chunks(restarts: int = 32, iterations: int = 5) -> dict:
    problem, alone = Problem((restarts, 512, 512), 2), Problem((1, 512, 512), 2)

    def run_in_chunks(size: int) -> None:
        for start in range(0, restarts, size):
            for _ in range(iterations):
                problem.iterate(slice(start, start + size))

    def run_alone() -> None:
        for _ in range(iterations * restarts):
            alone.iterate()

    variants = {"alone": run_alone} | {f"chunks_of_{k}": lambda k=k: run_in_chunks(k) for k in (1, 2, 4, 8, 16, 32)}
    times = alternate(variants, 7 * SECONDS)
    each = {name: round(value / (restarts * iterations), 4) for name, value in milliseconds(times).items()}
    ratios = {name: ratio(times, name, "alone") for name in variants}
    print("  per restart and iteration", each, ratios, flush=True)
    return {"per_restart_iteration": each, "ratio_to_alone": ratios}


def normalisation() -> dict:
    results = {}
    for name, (shape, ndim) in SHAPES.items():
        problem = Problem(shape, ndim)
        times = alternate({"ortho": problem.transform, "unscaled": problem.transform_unscaled}, SECONDS)
        results[name] = milliseconds(times) | {"ratio": ratio(times, "ortho", "unscaled")}
        print(f"{name:>10} {results[name]}", flush=True)
    return results


def page_faults() -> dict:
    results: dict = {"THP_MEM_ALLOC_ENABLE": os.environ.get("THP_MEM_ALLOC_ENABLE", "0")}
    for name, (shape, ndim) in LARGE.items():
        problem = Problem(shape, ndim)
        problem.iterate()
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        times = alternate({"hio": problem.iterate}, SECONDS)
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
        results[name] = milliseconds(times) | {"faults": faults // (len(times["hio"]) + 1)}
        print(f"{name:>10} {results[name]}", flush=True)
    return results


if __name__ == "__main__":
    if backend.native is None:
        raise SystemExit("cdipipe._native is not built")
    parts = (iteration, program, chunks, normalisation, page_faults)
    with torch.inference_mode():
        run_all(__doc__, "kernels", {part.__name__: part for part in parts})
