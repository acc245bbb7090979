"""Train the denoiser that ``reference_lsq`` offers as ``learned``.

    python benchmarks/train_denoiser.py --images cifar10_test_gray_first4000.npz --minutes 60

Trained on small photographs, on the photographs given by ``--photographs``, and on leaves and films made by code; never
on the photographs of scikit-image, of which the scene ``static_region`` makes its samples.
"""

from __future__ import annotations

import argparse
import copy
import math
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from cdipipe.networks.denoiser.model import WEIGHTS, Denoiser
from cdipipe.simulation.sources.biological_cell import cell_thickness
from cdipipe.simulation.sources.lacey import lacey_film

SIDE, FINE = 64, 2
SIGMA = (0.002, 0.4)


def leaves(rng: np.random.Generator) -> np.ndarray:
    """Ellipses and bars over one another, sizes falling as 1 / r^2, each with a slope and some with a grain."""
    side = SIDE * FINE
    y, x = np.ogrid[-0.5 : 0.5 : side * 1j, -0.5 : 0.5 : side * 1j]
    image = np.full((side, side), rng.random())
    softness = rng.choice([0.0, 0.02, 0.1])
    for _ in range(rng.integers(5, 120)):
        radius = 0.02 / (1 - rng.random() * (1 - 0.02 / 0.6))
        angle, flat = rng.uniform(0, np.pi), rng.uniform(0.15, 1)
        v, u = y - rng.uniform(-0.6, 0.6), x - rng.uniform(-0.6, 0.6)
        along = (np.cos(angle) * u + np.sin(angle) * v) / radius
        across = (np.cos(angle) * v - np.sin(angle) * u) / (radius * flat)
        reach = np.hypot(along, across) if rng.random() < 0.6 else np.maximum(np.abs(along), np.abs(across))
        cover = np.clip((1 - reach) * radius / max(softness * rng.random(), 1e-3), 0, 1)
        shade = rng.random() + 0.3 * rng.normal() * along + 0.3 * rng.normal() * across
        if rng.random() < 0.15:
            shade = shade + 0.3 * np.sin(rng.uniform(3, 40) * along + rng.uniform(0, 6))
        image = image + cover * (shade - image)
    if rng.random() < 0.4:
        frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]) * side
        grain = np.fft.irfft2(
            np.fft.rfft2(rng.standard_normal((side, side))) / np.maximum(frequency, 2) ** rng.uniform(0.3, 1.5)
        )
        image = image + rng.uniform(0, 0.25) * grain / grain.std()
    return image.reshape(SIDE, FINE, SIDE, FINE).mean((1, 3))


def mosaic(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Four photographs of 32 pixels side by side, or one in twice the size."""
    if rng.random() < 0.15:
        return np.asarray(
            Image.fromarray(images[rng.integers(len(images))]).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        )
    four = images[rng.integers(len(images), size=4)]
    return np.block([[four[0], four[1]], [four[2], four[3]]])


def crop(photographs: list[Image.Image], rng: np.random.Generator) -> np.ndarray:
    """A random square of a photograph, reduced to 64 pixels."""
    image = photographs[rng.integers(len(photographs))]
    edge = int(rng.integers(90, min(image.size) + 1))
    left, top = (int(rng.integers(n - edge + 1)) for n in image.size)
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR, (left, top, left + edge, top + edge)))


def make_bank(images: np.ndarray, photographs: list[Image.Image], count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, 64, 64) float32, largest value 1 and smallest 0 or more: 55 % mosaics, the rest of the other kinds."""
    bank = np.empty((count, SIDE, SIDE), np.float32)
    for index in range(count):
        kind = rng.random()
        if kind < 0.55:
            image = mosaic(images, rng)
        elif kind < 0.75 and photographs:
            image = crop(photographs, rng)
        elif kind < 0.8:
            image = (cell_thickness if rng.random() < 0.5 else lacey_film)(SIDE, rng)
        else:
            image = np.clip(leaves(rng), 0, None)
        bank[index] = np.asarray(image, np.float32) / max(float(np.max(image)), 1e-6)
    return bank


def noisy_batch(bank: torch.Tensor, size: int, generator: torch.Generator):
    """Clean and noisy images (size, 1, 64, 64) and their noise levels, log-uniform."""
    clean = bank[torch.randint(len(bank), (size,), generator=generator)].unsqueeze(1)
    turn = int(torch.randint(8, (), generator=generator))
    clean = torch.rot90(clean.flip(2) if turn >= 4 else clean, turn % 4, (2, 3))
    low, high = map(math.log, SIGMA)
    sigma = torch.exp(low + (high - low) * torch.rand(size, 1, 1, 1, generator=generator))
    return clean, clean + sigma * torch.randn(clean.shape, generator=generator), sigma


def log_error(found: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
    """Mean of 10 log10 of each image's squared error: minus the mean PSNR."""
    return 10 * (found - clean).square().mean((1, 2, 3)).clamp(min=1e-9).log10().mean()


def save(path: Path, network: Denoiser, facts: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.half() for name, tensor in network.state_dict().items()}
    torch.save({"weights": weights, **facts}, path)


def train(
    bank: torch.Tensor, held_out: torch.Tensor, minutes: float, output: Path, facts: dict, batch: int = 16
) -> None:
    """Adam with a cosine over the time, moving average of the weights."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    network = Denoiser(facts["width"], tuple(facts["blocks"]))
    average = copy.deepcopy(network)
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-3)
    began, step, shown = time.monotonic(), 0, 0.0
    while (spent := (time.monotonic() - began) / (60 * minutes)) < 1:
        optimiser.param_groups[0]["lr"] = (
            2e-3 * min(1, (step + 1) / 200) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * spent)))
        )
        clean, noisy, sigma = noisy_batch(bank, batch, generator)
        loss = log_error(network(noisy, sigma), clean)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 50.0)
        optimiser.step()
        step += 1
        with torch.no_grad():
            decay = min(0.998, step / (step + 10))
            for slow, fast in zip(average.parameters(), network.parameters(), strict=True):
                slow.lerp_(fast, 1 - decay)
        if spent - shown > 0.02:
            shown = spent
            print(f"{step} steps, {spent:.0%}, loss {loss.item():.2f}", judge(average, held_out), flush=True)
            save(output, average, facts | {"steps": step, "minutes": minutes * spent})
    save(output, average, facts | {"steps": step, "minutes": minutes})
    print("done", step, judge(average, held_out), flush=True)


def judge(network: Denoiser, held_out: torch.Tensor) -> dict:
    """Mean PSNR on images kept aside, by noise level."""
    found = {}
    with torch.no_grad():
        for sigma in (0.1, 0.02, 0.0033):
            generator = torch.Generator().manual_seed(5)
            noisy = held_out + sigma * torch.randn(held_out.shape, generator=generator)
            clean = network(noisy, torch.full((len(noisy), 1, 1, 1), sigma))
            found[sigma] = round(-float(log_error(clean, held_out)), 2)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, required=True, help="npz with (N, 32, 32) uint8 'images'")
    parser.add_argument("--photographs", type=Path, nargs="*", default=[])
    parser.add_argument("--count", type=int, default=8000, help="images in the bank")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--blocks", type=int, nargs=2, default=(2, 3))
    parser.add_argument("--output", type=Path, default=WEIGHTS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    images = np.load(arguments.images)["images"]
    photographs = [Image.open(path).convert("L") for path in arguments.photographs]
    rng = np.random.default_rng(0)
    bank = torch.from_numpy(make_bank(images[:-200], photographs, arguments.count, rng))
    held_out = torch.from_numpy(make_bank(images[-200:], [], 60, np.random.default_rng(1)))[:, None]
    sources = [arguments.images.name, *(path.name for path in arguments.photographs)]
    facts = {"width": arguments.width, "blocks": list(arguments.blocks), "trained_on": sources}
    print("bank ready", flush=True)
    train(bank, held_out, arguments.minutes, arguments.output, facts)


if __name__ == "__main__":
    main()
