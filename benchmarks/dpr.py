"""DPR at full size, one 512^2 pattern at a time: our fast path against the same layers in plain PyTorch.

    python benchmarks/dpr.py [--repeats 10] [-o FILE]

eager       the network as written, contiguous, reference kernels (no compiled code of ours), no gradients
fast        folded, fused, channels-last, minimal filtering; the mask's part computed beforehand
fast_mask   the same with the mask's part computed anew for each pattern

The weights are random, with statistics of their own in every normalisation; times do not depend on them. Variants
alternate within one process. On a busy machine only ``ratio_of_fastest`` means something. Results go to
benchmarks/results/dpr.json.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from pathlib import Path

import record
import torch

from cdipipe.networks.dpr.inference import FusedDPR
from cdipipe.networks.dpr.model import DPR
from cdipipe.ops import backend
from cdipipe.optics import fourier


def random_network(seed: int = 0) -> DPR:
    """The paper's network, untrained, whose normalisations are not the identity."""
    torch.manual_seed(seed)
    network = DPR()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.2)
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return network.eval()


def random_pattern(size: int, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Counts (1, size, size) of a random object of 40 pixels, about 1e6 photons, and DPR's constant central mask."""
    generator = torch.Generator().manual_seed(seed)
    exit_wave = torch.zeros(1, size, size, dtype=torch.complex64)
    start = size // 2 - 20
    exit_wave[:, start : start + 40, start : start + 40] = torch.rand(40, 40, generator=generator) * 43
    intensity = torch.poisson(fourier.forward(exit_wave).abs().square(), generator=generator)
    measured = torch.ones(size, size, dtype=torch.bool)
    measured[size // 2 - 8 : size // 2 + 8, size // 2 - 8 : size // 2 + 8] = False
    return intensity, measured


def measure(repeats: int) -> dict:
    network = random_network()
    intensity, measured = random_pattern(network.size)
    fast = FusedDPR(network)
    plan = fast.plan(measured)

    def eager():
        with backend.use("reference"):
            return network(intensity, measured)

    variants = {
        "eager": eager,
        "fast": lambda: fast(intensity, plan),
        "fast_mask": lambda: fast(intensity, fast.plan(measured)),
    }
    outputs = {name: call() for name, call in variants.items()}
    times: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(repeats):
        for name, call in variants.items():
            before = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - before)
    largest = float(outputs["eager"].abs().max())
    result: dict = {"parameters": sum(p.numel() for p in network.parameters()), "repeats": repeats}
    result |= {f"{name}_ms": round(1e3 * statistics.median(values), 1) for name, values in times.items()}
    result |= {f"{name}_fastest_ms": round(1e3 * min(values), 1) for name, values in times.items()}
    for name in ("fast", "fast_mask"):
        pairs = zip(times[name], times["eager"], strict=True)
        result[f"{name}_ratio"] = round(statistics.median(a / b for a, b in pairs), 3)
        result[f"{name}_ratio_of_fastest"] = round(min(times[name]) / min(times["eager"]), 3)
        difference = (outputs[name] - outputs["eager"]).abs().max()
        result[f"{name}_largest_difference"] = float(difference) / largest
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    if backend.native is None:
        parser.error("cdipipe._native is not built")
    result: dict = {"load_before": os.getloadavg()}
    with torch.no_grad():
        result |= measure(arguments.repeats)
    result["load_after"] = os.getloadavg()
    print(result)
    print(record.write("dpr", result, arguments.output))


if __name__ == "__main__":
    main()
