"""Plots of recorded benchmarks into docs/images: how cost grows, and how movies agree over noise and seeds.

python benchmarks/draw.py [-o FOLDER]
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import common
from matplotlib.figure import Figure

from cdipipe.figures.canvas import DOTS_PER_INCH, LINES

IMAGES = Path(__file__).parents[1] / "docs/images"
AXES = {
    "restarts": "restarts (100 iterations, 128²)",
    "size": "pixels (50 iterations)",
    "frames": "frames (in_situ, 64²)",
    "corpus": "samples (polygons, 32²)",
    "cores": "threads (8 restarts, 256²)",
}


def growth_figure(result: dict) -> Figure:
    """A panel for everything that cost grows with; straight lines of slope 1 are proportional."""
    known = [name for name in AXES if name in result]
    figure = Figure(figsize=(3.0 * len(known), 2.9), layout="constrained")
    for axis, name in zip(figure.subplots(1, len(known), squeeze=False)[0], known, strict=True):
        series = result[name] if name == "size" else {"": result[name]}
        for index, (label, values) in enumerate(series.items()):
            x, y = [float(key) for key in values], list(values.values())
            axis.plot(x, y, "o-", color=LINES[index], label=label)
            axis.plot(x, [y[-1] * one / x[-1] for one in x], ":", color=LINES[index], linewidth=0.8)
        if name != "cores":
            axis.set(xscale="log", yscale="log")
        else:
            axis.set(ylim=(0, None), xticks=x)
        axis.set(xlabel=AXES[name], ylabel="seconds" if name == "cores" else "processor seconds")
        if len(series) > 1:
            axis.legend(frameon=False)
    machine = result["machine"]
    figure.suptitle(f"{machine['cpu']}, {machine['backend']}, commit {machine['commit']}", fontsize=8)
    return figure


def prtf_figure(result: dict) -> Figure:
    """Phase retrieval transfer functions of the movies, a panel for each."""
    cases = sorted({name.split("/")[0] for name in result if name.startswith("prtf_")})
    figure = Figure(figsize=(3.6 * len(cases), 2.8), layout="constrained")
    for axis, case in zip(figure.subplots(1, len(cases), squeeze=False)[0], cases, strict=True):
        own = {name.split("/")[1]: entry for name, entry in result.items() if name.startswith(f"{case}/")}
        for index, (name, entry) in enumerate(own.items()):
            axis.plot(entry["frequency"], entry["curve"], color=LINES[index], label=name)
        axis.axhline(1 / math.e, color="k", lw=0.7, ls="--")
        axis.set(xlabel="cycles per pixel", ylabel="PRTF", ylim=(0, 1.1), title=case.removeprefix("prtf_"))
        axis.legend(frameon=False)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=IMAGES)
    folder = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    movies = common.read("movies_prtf") or common.read("dynamic")
    for name, figure in (("growth", growth_figure(common.read("growth"))), ("dynamic_prtf", prtf_figure(movies))):
        figure.savefig(folder / f"{name}.png", dpi=DOTS_PER_INCH)
        print(folder / f"{name}.png")


if __name__ == "__main__":
    main()
