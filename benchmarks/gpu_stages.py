"""What benchmarks/gpu.py does on a GPU, one stage after the other; each gives plain data."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import torch
from common import ROOT
from gpu_kernels import TOLERANCE, parity, scaling, speed, synchronize

import cdipipe as cdi


@dataclass(frozen=True)
class Sizes:
    """How large the stages are."""

    tests: tuple[str, ...] = ("tests/ops", "tests/phasing", "tests/methods", "tests/networks", "tests/training")
    test_s: float = 60.0
    methods: tuple[str, ...] = ()
    side: int = 512
    starts: int = 100
    iterations: int = 1000
    small_side: int = 64
    shots: int = 256
    shot_side: int = 128
    batches: tuple[int, ...] = (1, 8, 32, 128)
    dpr: str = "{}"
    cdip_side: int = 128
    cdip: dict = field(default_factory=lambda: {"iterations": 2000})
    patterns: int = 8192
    times: int = 3
    train_s: float = 600.0
    network: str = "dpr"
    network_settings: tuple[str, ...] = ("network.size=128", "network.width=16", "network.downsamplings=2")
    scene_size: int = 128
    samples: int = 512
    batch_size: int = 32


REHEARSAL = Sizes(
    tests=("tests/ops/test_gpus.py",),
    methods=("hio", "poisson_ml"),
    times=1,
    side=32,
    starts=4,
    iterations=25,
    small_side=16,
    shots=4,
    shot_side=16,
    batches=(1, 2),
    dpr='{"size": 32, "width": 16, "downsamplings": 1, "blocks": 1, "compensated_blocks": 1}',
    cdip_side=32,
    cdip={"iterations": 6, "start": "random", "population": 1, "channels": 2, "hidden": 4},
    patterns=64,
    train_s=1.0,
    network="cdi_nn",
    network_settings=("network.widths=[4]",),
    scene_size=32,
    samples=16,
    batch_size=8,
)


def seconds_of(work: Callable[[], object], times: int = 3) -> float:
    """Of the fastest call after one that is not timed."""
    found = []
    for _ in range(times + 1):
        synchronize()
        began = time.perf_counter()
        work()
        synchronize()
        found.append(time.perf_counter() - began)
    return min(found[1:])


def tests(device: str, sizes: Sizes) -> dict:
    """Tests of the package, on the GPU where they say auto; each folder is stopped when its time is up."""
    found = {}
    for folder in sizes.tests:
        command = [sys.executable, "-m", "pytest", "-q", "-rf", "--tb=line", "-p", "no:cacheprovider", folder]
        began = time.perf_counter()
        with tempfile.TemporaryFile("w+") as said:
            process = subprocess.Popen(
                command, cwd=ROOT, env=os.environ | {"CDIPIPE_DEVICE": device}, stdout=said, stderr=subprocess.STDOUT
            )
            try:
                code = process.wait(sizes.test_s)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGINT)  # pytest still counts what it did
                code = f"stopped after {sizes.test_s:.0f} s"
                process.wait(30)
            said.seek(0)
            text = said.read()
        counts = re.findall(r"(\d+) (passed|failed|error|errors|skipped)", text.splitlines()[-1] if text else "")
        dots = re.findall(r"^[.sFExX]+(?= |$)", text, re.M)
        found[folder] = {
            "code": code,
            "seconds": round(time.perf_counter() - began, 1),
            **({word: int(number) for number, word in counts} or {"passed": "".join(dots).count(".")}),
            "failures": re.findall(r"^FAILED (\S+)", text, re.M)[:50],
        }
    return found


def methods(device: str, sizes: Sizes) -> dict:
    """Every method on a few pixels: same device, same bits, and the R-factor beside that of the CPU."""
    sys.path.insert(0, str(ROOT / "tests"))
    import small_runs

    from cdipipe.phasing.registry import all_methods

    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in sizes.methods or all_methods():
            try:
                one, two, cpu = (
                    small_runs.run(name, Path(folder), extra={"device": where}) for where in (device, device, "cpu")
                )
            except Exception as error:  # the others are tried all the same
                found[name] = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"}
                continue
            factors = [float(run.run_scores["r_factor"].flat[0]) for run in (one, cpu)]
            same = bool((one.object == two.object).all())
            found[name] = {"same_bits": same, "r_factor": factors[0], "r_factor_cpu": factors[1]}
    return found


def kernels(device: str, sizes: Sizes) -> dict:
    """Kernels beside the reference in torch, and their iterations without anything around them."""
    where = torch.device(device)
    differences = parity(where, min(sizes.side, 512))
    with torch.inference_mode():
        seconds = speed(where, sizes.starts, sizes.iterations, sizes.side)
    return {"parity": differences, "parity_holds": max(differences.values()) <= TOLERANCE, "seconds": seconds}


def hio(device: str, sizes: Sizes) -> dict:
    """All starts of a pattern as a user has them: random starts, iterations, scores, alignment."""
    made = cdi.simulate("polygons", seed=1, size=sizes.side, photons=1e7)
    settings = {"restarts": sizes.starts, "iterations": sizes.iterations, "device": device}
    found = {
        "all_told_s": seconds_of(
            lambda: cdi.reconstruct(made, "hio", seed=1, shrink_wrap={"every": 0}, **settings), sizes.times
        ),
        "with_shrink_wrap_s": seconds_of(lambda: cdi.reconstruct(made, "hio", seed=1, **settings), 1),
    }
    return found | {"starts": sizes.starts, "iterations": sizes.iterations, "size": sizes.side}


def savings(device: str, sizes: Sizes) -> dict:
    """The same work with and without: scaling inside kernels, CUDA graphs, patterns of a stack in one batch."""
    from cdipipe.ops import graphs
    from cdipipe.phasing import restarts

    found: dict = {"scaling": scaling(torch.device(device), sizes.starts, sizes.side)}
    small = cdi.simulate("polygons", seed=1, size=sizes.small_side, photons=1e6)
    settings = {"restarts": 4, "iterations": sizes.iterations, "device": device}
    for name in ("hio", "dm"):
        for wanted in ("1", "0"):
            with mock.patch.dict(os.environ, {graphs.VARIABLE: wanted}):
                run = lambda n=name: cdi.reconstruct(small, n, seed=1, shrink_wrap={"every": 0}, **settings)  # noqa: E731
                found[f"{name}, graphs {wanted}: s"] = seconds_of(run, sizes.times)
    shots = cdi.simulate("polygons", seed=1, size=sizes.shot_side, count=sizes.shots, photons=1e6)
    settings = {"iterations": sizes.iterations // 5, "device": device}
    found["shots together: s"] = seconds_of(lambda: cdi.reconstruct(shots, "hio", seed=1, **settings), 1)
    with mock.patch.object(restarts, "patterns_at_once", lambda *_: 1):
        found["shots one by one: s"] = seconds_of(lambda: cdi.reconstruct(shots, "hio", seed=1, **settings), 1)
    return found | {"small": [4, sizes.small_side], "shots": [sizes.shots, sizes.shot_side]}


def dpr(device: str, sizes: Sizes) -> dict:
    """The network of the paper with random weights; milliseconds a pattern."""
    from cdipipe.networks.dpr.inference import FusedDPR
    from cdipipe.networks.registry import get_network

    network = get_network("dpr")
    settings = network.settings.model_validate_json(f'{{"network": {sizes.dpr}}}').network
    torch.manual_seed(0)
    fast = FusedDPR(network.build(settings).eval().to(device))
    measured = torch.ones(fast.size, fast.size, dtype=torch.bool, device=device)
    measured[fast.size // 2 - 4 : fast.size // 2 + 4, fast.size // 2 - 4 : fast.size // 2 + 4] = False
    plan, found = fast.plan(measured), {"size": fast.size}
    for batch in sizes.batches:
        counts = torch.poisson(torch.full((batch, fast.size, fast.size), 4.0, device=device))
        found[f"batch of {batch}: ms"] = 1e3 * seconds_of(lambda c=counts: fast(c, plan), sizes.times) / batch
    return found


def cdip(device: str, sizes: Sizes) -> dict:
    """A single shot without support, by a neural field."""
    made = cdi.simulate("polygons", seed=5000, size=sizes.cdip_side, photons=1e6)
    recipe = {"method": "cdip", **sizes.cdip}
    found = {"steps": sizes.cdip["iterations"], "size": sizes.cdip_side}
    return found | {"all_told_s": seconds_of(lambda: cdi.reconstruct(made, recipe, seed=1, device=device), 1)}


def cdi_nn(device: str, sizes: Sizes) -> dict:
    """The weights that come along, in a large batch; patterns a second."""
    from cdipipe.networks.cdi_nn.settings import CdiNnParameters
    from cdipipe.networks.predictor import load_predictor

    shots = cdi.simulate("polygons", seed=1, size=32, count=64, photons=1e5, phase_range_rad=6.283)
    counts = torch.from_numpy(shots.intensity).to(device).repeat(sizes.patterns // 64, 1, 1)
    measured, found = torch.ones_like(counts, dtype=torch.bool), {"patterns": len(counts)}
    for bits in ("32", "bf16"):
        one = load_predictor("cdi_nn", CdiNnParameters(precision=bits), torch.device(device))
        with torch.inference_mode():
            found[f"{bits}: patterns/s"] = len(counts) / seconds_of(lambda p=one: p(counts, measured), sizes.times)
    return found


def training(device: str, sizes: Sizes) -> dict:
    """A training that is stopped half-way and goes on; steps done at the stop and at the end."""
    from cdipipe.networks.checkpoint import read_checkpoint

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cdipipe = [sys.executable, "-m", "cdipipe.cli.main"]
        scene = "polygons" if sizes.network == "cdi_nn" else "pseudo_objects"
        size = [f"--set=size={sizes.scene_size}", "--set=photons=0"]
        corpus = [*cdipipe, "corpus", scene, f"--count={sizes.samples}", "-o", str(folder / "corpus"), *size]
        subprocess.run(corpus, check=True, stdout=subprocess.DEVNULL)
        words = [f"--set={setting}" for setting in sizes.network_settings]
        words += ["--set=epochs=100000", "--set=checkpoint_steps=20", f"--set=batch_size={sizes.batch_size}"]
        command = [*cdipipe, "train", sizes.network, "--corpus", str(folder / "corpus"), "-o", str(folder / "run")]
        command += ["--device", device, "--resume", *words]
        last, steps, codes, began = folder / "run/last.pt", [0], [], time.perf_counter()
        for _ in range(2):
            process, turn = subprocess.Popen(command, stdout=subprocess.DEVNULL), time.perf_counter()
            while process.poll() is None and (
                time.perf_counter() - turn < sizes.train_s / 2 or _steps(last, read_checkpoint) <= steps[-1]
            ):
                time.sleep(0.5)
            process.terminate()
            codes.append(process.wait(120))
            steps.append(_steps(last, read_checkpoint))
        seconds = time.perf_counter() - began
        rows = (folder / "run/curve.tsv").read_text().splitlines() if (folder / "run/curve.tsv").exists() else []
    found = {"network": sizes.network, "exit_codes": codes, "steps": steps[1:], "went_on": 0 < steps[1] < steps[2]}
    return found | {"samples_per_s": steps[2] * sizes.batch_size / seconds, "curve": [*rows[:2], *rows[-1:]]}


def _steps(last: Path, read) -> int:
    """Steps that the last checkpoint has."""
    try:
        return read(last).training["position"]["steps_done"] if last.exists() else 0
    except cdi.InputError:  # being replaced
        return 0


STAGES = {one.__name__: one for one in (tests, methods, kernels, hio, savings, dpr, cdip, cdi_nn, training)}
