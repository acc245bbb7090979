"""Measured patterns through every method that applies: R-factors, repeatability, time, and pictures.

    CDIPIPE_DATA_DIR=... python benchmarks/measured.py [--patterns ring gold] [--methods ...] [--pictures docs/images]

ring   laser light diffracted by a small ring, 98 x 98, its saturated centre masked
gold   the central frame of a gold crystal's rocking curve, 128 x 128, white field divided out

Of the ring, lines without a single count are not used: its file is padded with such. Of neither is the truth known.
``free`` is the R-factor of 3 % of the pixels, which no method saw, ``repeats`` the correlation of the objects of two
seeds, aligned. Networks that need patterns of their own size or a checkpoint, and methods for a static region, a probe
or a movie do not apply.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from record import write

from cdipipe.io.cxi import read_measurement
from cdipipe.metrics.align import align_to
from cdipipe.metrics.evaluate import evaluate
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.reconstruct import reconstruct
from cdipipe.phasing.stack import Start

FREE = 0.03
RING = {
    "start_support": {"kind": "full"},
    "shrink_wrap": {"every": 20, "area": [0.1, 0.035]},
}
SETTINGS = {"ring": RING, "gold": {}}
SEARCH = {"iterations": 600, "restarts": 24}
RAAR = {"method": "raar", **SEARCH}
RECIPES = {
    "er": {"method": "er", **SEARCH},
    "hio": {"method": "hio", **SEARCH},
    "raar": RAAR,
    "dm": {"method": "dm", **SEARCH},
    "oss": {"method": "oss", **SEARCH},
    "gps": {"method": "gps", **SEARCH},
    "raar, poisson_ml": {"steps": [{"raar": {"iterations": 600}}, "poisson_ml"], "restarts": 24},
    "raar, ad_refine": {"steps": [{"raar": {"iterations": 600}}, "ad_refine"], "restarts": 24},
    "guided": {"method": "guided"},
    "cdip": {"method": "cdip"},
    "dip": {"method": "dip"},
}
OWN_SUPPORT = ("guided", "cdip")
"""They find the support in ways of their own; what is set for the others would only disturb them."""
NEEDS_SUPPORT = {"ring": ("dip", "guided"), "gold": ("dip",)}
"""They begin with the support of raar: dip never changes its own, and without the centre of the pattern there is no
autocorrelation that would tell guided the extent."""
BOX = {"ring": {"box_px": 28}, "gold": {}}
"""Of cdip, for the same reason."""


def import_pattern(name: str, folder: Path):
    """The measurement as the command line imports it."""
    data = Path(os.environ["CDIPIPE_DATA_DIR"])
    if name == "ring":
        file = data / "hawk_ring_optical" / "ring.h5"
        how = ["--dataset", "real", "--mask", f"{file}::mask", "--corner", "--amplitude"]
    else:
        source = data / "aps34idc_bcdi_S54"
        file = source / "S54_counts_201x256x256_int32.npz"
        how = ["--stack", "shots", "--frames", central_frame(file), "--whitefield", source / "whitefield.tif"]
        how += ["--threshold", 2, "--crop", "128,128"]
    target = folder / f"{name}.cxi"
    words = [sys.executable, "-m", "cdipipe.cli.main", "import", file, *how, "-o", target]
    subprocess.run([str(word) for word in words], check=True, stdout=subprocess.DEVNULL)
    measurement = read_measurement(target)
    if name == "ring":  # its file pads the camera's frame with lines of zeros, and calls them measured
        dark = ~measurement.intensity.any(axis=-1, keepdims=True)
        return replace(measurement, measured=measurement.measured & ~dark)
    return measurement


def central_frame(file: Path) -> int:
    """The frame of the rocking curve with the most photons."""
    with np.load(file) as stored:
        counts = stored[stored.files[0]]
    return int(np.argmax(counts.sum(axis=(1, 2), dtype=np.int64)))


def phase(measurement, pattern: str, name: str, seed: int, support):
    """One reconstruction, its scores and its time on the processor."""
    settings = {} if name in OWN_SUPPORT else SETTINGS[pattern]
    settings = {**settings, **BOX[pattern]} if name == "cdip" else settings
    start = Start(support=support) if name in NEEDS_SUPPORT[pattern] else None
    began, clock = time.process_time(), time.perf_counter()
    recipe = recipe_from_mapping({**settings, **RECIPES[name]})
    result = reconstruct(measurement, recipe, seed=seed, free_fraction=FREE, start=start)
    spent = time.process_time() - began, time.perf_counter() - clock
    found = evaluate(result, measurement).metrics
    row = {key: float(np.mean(found[key])) for key in ("r_factor", "r_factor_free") if key in found}
    return result, row | {"cpu_s": spent[0], "wall_s": spent[1]}


def measure(measurement, pattern: str, methods) -> tuple[dict, dict]:
    """Scores of every method, and their objects."""
    rows, objects, support = {}, {}, None
    if set(methods) & set(NEEDS_SUPPORT[pattern]):
        support = np.squeeze(phase(measurement, pattern, "raar", 1, None)[0].support)
    for name in methods:
        (first, row), (second, _) = (phase(measurement, pattern, name, seed, support) for seed in (1, 2))
        one, other = (np.squeeze(result.object) for result in (first, second))
        rows[name] = row | {"repeats": agreement(one, other), "support_px": int(first.support.sum())}
        objects[name] = one
        print(pattern, name, {key: round(value, 3) for key, value in rows[name].items()}, flush=True)
    return rows, objects


def agreement(one, other) -> float:
    """Modulus of the correlation of two objects, aligned (shift, twin, phase)."""
    return float(align_to(one, other).correlation)


def draw(measurement, rows: dict, objects: dict, file: Path) -> None:
    """The pattern, and the modulus of every object in the middle of the array."""
    from matplotlib.figure import Figure

    columns = 6
    lines = -(-(len(objects) + 1) // columns)
    figure = Figure(figsize=(1.6 * columns, 1.85 * lines), layout="constrained")
    axes = figure.subplots(lines, columns).ravel()
    for axis in axes:
        axis.axis("off")
    counts = np.where(np.squeeze(measurement.measured), np.squeeze(measurement.intensity), np.nan)
    axes[0].imshow(np.log10(1 + counts), cmap="magma")
    axes[0].set_title("counts (log)", fontsize=7)
    for axis, (name, object_) in zip(axes[1:], objects.items(), strict=False):
        axis.imshow(in_the_middle(np.abs(object_)), cmap="gray")
        title = f"{name}\nR {rows[name]['r_factor']:.3f}, free {rows[name]['r_factor_free']:.3f}"
        axis.set_title(title, fontsize=7)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=80)


def in_the_middle(modulus: np.ndarray) -> np.ndarray:
    """The half of the array around the centre of mass."""
    weight = modulus**2 / np.sum(modulus**2)
    shift = [
        n // 2 - round(float(np.sum(weight * i))) for n, i in zip(weight.shape, np.indices(weight.shape), strict=True)
    ]
    quarter = tuple(slice(n // 4, n - n // 4) for n in modulus.shape)
    return np.roll(modulus, shift, (0, 1))[quarter]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patterns", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--methods", nargs="+", choices=list(RECIPES), default=list(RECIPES))
    parser.add_argument("--pictures", type=Path, default=Path(__file__).parent.parent / "docs" / "images")
    parser.add_argument("-o", "--output", type=Path, default=None)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    table = {}
    with tempfile.TemporaryDirectory() as folder:
        for pattern in arguments.patterns:
            measurement = import_pattern(pattern, Path(folder))
            rows, objects = measure(measurement, pattern, arguments.methods)
            table[pattern] = {"settings": SETTINGS[pattern], "cdip": BOX[pattern], "methods": rows}
            draw(measurement, rows, objects, arguments.pictures / f"measured_{pattern}.png")
    settings = {"free_fraction": FREE, "recipes": {name: RECIPES[name] for name in arguments.methods}}
    print(write("measured", {**settings, "patterns": table}, arguments.output))


if __name__ == "__main__":
    main()
