"""The same thread count gives the same bits; another one the same picture within rounding and the spread over seeds."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import studies
import torch

from cdipipe.cli.main import run
from cdipipe.io.cxi import read_reconstruction, read_truth
from cdipipe.metrics.align import align_to


def cdipipe(threads: int, *words: object) -> None:
    """A command in this process, on so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert run([str(word) for word in words]) == 0
    finally:
        torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("bits")
    scene = ["--seed=3", "--set=size=64", "--set=photons=1e6", "--set=phase_range_rad=2.0"]
    cdipipe(1, "simulate", "polygons", "-o", place / "M.cxi", "--truth", place / "T.cxi", *scene)
    return place


def reconstruct(folder: Path, name: str, threads: int, iterations: int, seed: int = 0, method: str = "hio"):
    words = ["-m", method, "--set", f"iterations={iterations}", "--seed", seed, "--restarts", 2, "--device", "cpu"]
    cdipipe(threads, "reconstruct", folder / "M.cxi", *words, "-o", folder / f"{name}.cxi")
    return read_reconstruction(folder / f"{name}.cxi")


@pytest.mark.parametrize("method, iterations", [("hio", 60), ("gps", 40), ("cdip", 5)])
def test_two_runs_with_two_threads_are_the_same_file_but_for_times(folder, method, iterations):
    reconstruct(folder, "first", 2, iterations, method=method)
    reconstruct(folder, "second", 2, iterations, method=method)
    assert studies.READERS[".cxi"](folder / "first.cxi") == studies.READERS[".cxi"](folder / "second.cxi")


@pytest.mark.parametrize("method", ["hio", "raar", "gps", "cdip", "ad_refine"])
def test_one_iteration_agrees_between_one_and_two_threads(folder, method):
    one = reconstruct(folder, "one", 1, 1, method=method).object
    two = reconstruct(folder, "two", 2, 1, method=method).object
    assert np.abs(one - two).max() <= 1e-5 * np.abs(one).max()


def test_the_end_agrees_between_thread_counts_within_the_spread_over_seeds(folder):
    truth = read_truth(folder / "T.cxi").object

    def correlation(threads: int, seed: int) -> float:
        laid = align_to(truth, reconstruct(folder, "end", threads, 200, seed).object, scale=True).object
        return float(abs(np.vdot(truth, laid)) / (np.linalg.norm(truth) * np.linalg.norm(laid)))

    seeds = range(4)
    alone, together = ([correlation(threads, seed) for seed in seeds] for threads in (1, 2))
    assert abs(np.mean(alone) - np.mean(together)) <= max(np.std(alone), np.std(together), 1e-6)


def test_every_rule_fixes_its_threads():
    for file in sorted((studies.ROOT / "workflow/rules").glob("*.smk")):
        for text in re.split(r"^rule ", file.read_text(), flags=re.MULTILINE)[1:]:
            assert "\n    threads:" in text, (file.name, text.partition(":")[0])


def test_the_workflow_hands_its_threads_to_the_job(tmp_path):
    config = studies.tiny_quickstart(tmp_path, whole=False)
    config.write_text(config.read_text().replace("threads: 1", "threads: 2"))
    code, text = studies.run(tmp_path, config, "out/tiny_crystal/hio_er/R.cxi")
    assert code == 0, text
    provenance = read_reconstruction(tmp_path / "out/tiny_crystal/hio_er/R.cxi").provenance
    assert provenance["backend"]["threads"] == 2
