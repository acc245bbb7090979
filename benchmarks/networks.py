"""How long trained networks take for a pattern.

    python benchmarks/networks.py dpr
        at full size, one 512^2 pattern: our fast path against the layers as written
    python benchmarks/networks.py cdi_nn
        with 1, 2, 4 and 8 views in 32 and 16 bits, one pattern and batches of 256, and 620 iterations of ER and HIO on
        an oversampled pattern (the paper: 2.7 ms and 1.5 s)

Variants take turns in one process; on a busy machine only the ratios of the fastest calls mean something. DPR's weights
are random, with statistics of their own in every normalisation: times do not depend on them. ``fast_mask`` computes the
mask's part anew for each pattern, ``fast`` beforehand. Results go to dpr.json and cdi_nn_speed.json.
"""

from __future__ import annotations

import torch
from common import SEQUENCE, Part, alternate, milliseconds, ratio, ratio_of_fastest, run_one

import cdipipe as cdi
from cdipipe.ops import backend

VIEWS, PRECISIONS = (1, 2, 4, 8), ("32", "bf16")


def dpr(seconds: int) -> dict:
    """The same network as it was written, and folded, fused, with its channels last and minimal filtering."""
    from cdipipe.networks.dpr.inference import FusedDPR

    network = random_dpr()
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
    times, wanted = alternate(variants, seconds), eager()
    result = {"parameters": sum(p.numel() for p in network.parameters()), **milliseconds(times)}
    for name in ("fast", "fast_mask"):
        difference = float((variants[name]() - wanted).abs().max() / wanted.abs().max())
        result |= {f"{name}_ratio": ratio(times, name, "eager"), f"{name}_largest_difference": difference}
        result[f"{name}_ratio_of_fastest"] = ratio_of_fastest(times, name, "eager")
    return result


def random_dpr():
    """The paper's network, untrained, whose normalisations are not the identity."""
    from cdipipe.networks.dpr.model import DPR

    torch.manual_seed(0)
    network = DPR()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.2)
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return network.eval()


def random_pattern(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Counts (1, size, size), about 1e6 photons, and DPR's constant central mask."""
    made = cdi.simulate("pseudo_objects", size=size, object_size=40)
    measured = torch.ones(size, size, dtype=torch.bool)
    measured[size // 2 - 8 : size // 2 + 8, size // 2 - 8 : size // 2 + 8] = False
    return torch.from_numpy(made.intensity)[None], measured


def cdi_nn(seconds: int) -> dict:
    """Every number of views and precision, and iterations beside them."""
    from cdipipe.networks.cdi_nn.settings import CdiNnParameters
    from cdipipe.networks.predictor import load_predictor

    shots = cdi.simulate("polygons", seed=1, size=32, count=256, photons=1e5, phase_range_rad=6.283)
    padded = cdi.simulate("polygons", seed=1, size=64, padded=True, photons=1e5, phase_range_rad=6.283)
    counts = torch.from_numpy(shots.intensity)
    measured = torch.ones_like(counts, dtype=torch.bool)
    variants = {"er_hio_620": lambda: cdi.reconstruct(padded, SEQUENCE)}
    for views in VIEWS:
        for precision in PRECISIONS:
            parameters = CdiNnParameters(views=views, precision=precision)
            one = load_predictor("cdi_nn", parameters, torch.device("cpu"))
            variants[f"one, {views} views, {precision}"] = lambda p=one: p(counts[:1], measured[:1])
            variants[f"batch of 256, {views} views, {precision}"] = lambda p=one: p(counts, measured)
    times = alternate(variants, seconds)
    per_pattern = {name: [t / (256 if "batch" in name else 1) for t in found] for name, found in times.items()}
    result = {"threads": torch.get_num_threads(), **milliseconds(per_pattern)}
    others = [name for name in variants if name != "er_hio_620"]
    return result | {f"er_hio_620 over {name}": ratio(per_pattern, "er_hio_620", name) for name in others}


if __name__ == "__main__":
    if backend.native is None:
        raise SystemExit("cdipipe._native is not built")
    with torch.inference_mode():
        run_one(__doc__, {"dpr": Part(dpr, "dpr", 20), "cdi_nn": Part(cdi_nn, "cdi_nn_speed", 30)})
