"""How many functions a parameter passes from the command line to the kernel."""

import sys
from pathlib import Path

import torch

import cdipipe
from cdipipe.cli.main import run
from cdipipe.ops.projection import native

ROOT = str(Path(cdipipe.__file__).parent)


def stack_of_the_package():
    """Functions of the package that are running, the outermost first."""
    frame, found = sys._getframe(2), []
    while frame is not None:
        if frame.f_code.co_filename.startswith(ROOT):
            found.append(f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_qualname}")
        frame = frame.f_back
    return found[::-1]


def test_beta_of_hio_passes_at_most_14_functions(tmp_path, monkeypatch):
    stacks, original = {}, native.known_rule

    def rule_of_the_kernel(constraint, coefficients, phase_range_rad):
        kept, feedback, *_ = coefficients
        if kept == 1:  # not a projection, which takes the same kernel
            # main() runs run(), and takes the process's signals for itself
            stacks["main.main", *stack_of_the_package()] = -feedback
        return original(constraint, coefficients, phase_range_rad)

    measurement, threads = str(tmp_path / "M.cxi"), torch.get_num_threads()
    assert run(["simulate", "polygons", "--set", "size=32", "-o", measurement]) == 0
    monkeypatch.setattr(native, "known_rule", rule_of_the_kernel)
    try:
        torch.set_num_threads(1)  # another thread would begin a stack of its own
        settings = ["--set", "beta=0.7", "--set", "iterations=10", "--set", "restarts=2"]
        assert run(["reconstruct", measurement, "-m", "hio", *settings, "-o", str(tmp_path / "R.cxi")]) == 0
    finally:
        torch.set_num_threads(threads)
    ((stack, beta),) = stacks.items()
    assert beta == 0.7 and len(stack) <= 14, stack
