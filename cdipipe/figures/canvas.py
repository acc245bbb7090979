"""What all figures share: style, axes in physical units, colour bars, and writing the file."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from cdipipe.errors import InputError
from cdipipe.io.atomic import atomic_path
from cdipipe.measurement import Geometry

LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's colours, yellow left out since it vanishes on white."""
HIDDEN = "#b4b4b4"
FORMATS = ("png", "svg", "pdf")
DOTS_PER_INCH = 110
TITLE_LETTER_IN = 0.085
"""Width of a letter of a figure's title, rather more than the mean."""
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

matplotlib.rcParams.update(
    {"font.size": 9, "axes.titlesize": 9, "axes.labelsize": 8, "xtick.labelsize": 7, "ytick.labelsize": 7}
    | {"legend.fontsize": 7, "image.interpolation": "nearest", "svg.hashsalt": "cdipipe"}
    | {"axes.titley": 1.0}  # no search for a free place: half the time of a figure
)


class Picture(Figure):
    """A figure that a notebook shows without pyplot, and whose title stays within it."""

    def suptitle(self, text: str, **options):
        """The title of the figure, in as many lines as its width asks for."""
        letters = int(self.get_figwidth() / TITLE_LETTER_IN)
        return super().suptitle(textwrap.fill(text, max(12, letters), break_long_words=False), **options)

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=DOTS_PER_INCH)
        return buffer.getvalue()


@dataclass(frozen=True)
class Margins:
    """Inches around every panel of a figure, for labels and colour bars; ``head`` is for a title of the figure."""

    left: float
    right: float
    below: float
    above: float
    head: float = 0.0


OF_IMAGES = Margins(left=0.42, right=0.5, below=0.4, above=0.25)
OF_CURVES = Margins(left=0.62, right=0.18, below=0.45, above=0.3)


@dataclass(frozen=True)
class Pixel:
    """Length of one object pixel along each axis of the object, in ``unit``."""

    steps: tuple[float, ...]
    unit: str


def object_pixel(geometry: Geometry, shape: tuple[int, ...]) -> Pixel:
    """Pixel of an object of ``shape`` in nm or µm, or in pixels where the geometry does not tell."""
    lengths = geometry.object_pixels_m(shape)
    if lengths is None:
        return Pixel((1.0,) * len(shape), "px")
    extent = max(length * size for length, size in zip(lengths, shape, strict=True))
    factor, unit = (1e6, "µm") if extent > 20e-6 else (1e9, "nm")
    return Pixel(tuple(length * factor for length in lengths), unit)


def show_image(
    axes: Axes, image: np.ndarray, steps=(1.0, 1.0), unit="px", origin=None, colorbar=True, ticks=True, **options
):
    """Draw a (H, W) image with axes in ``unit``, zero at index ``origin`` of each axis; return the image artist.

    ``steps`` are the pixel lengths of rows and columns. Masked entries are drawn grey. ``ticks=False`` is for panels
    whose neighbour has the same axes: text is what takes time in a figure.
    """
    rows, columns = image.shape
    row0, column0 = origin or (rows // 2, columns // 2)
    extent = (
        (-0.5 - column0) * steps[1],
        (columns - 0.5 - column0) * steps[1],
        (rows - 0.5 - row0) * steps[0],
        (-0.5 - row0) * steps[0],
    )
    axes.set_facecolor(HIDDEN)  # shines through where the image is masked
    artist = axes.imshow(image, extent=extent, **options)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_visible(ticks)
        if ticks:
            axis.set_major_locator(MaxNLocator(5, integer=unit.endswith("px"), min_n_ticks=3))
    if ticks:
        axes.set_xlabel(unit, labelpad=1)
    if colorbar:
        add_colorbar(artist)
    return artist


def add_colorbar(artist, **options):
    """A colour bar as high as the image, at its right; ``options`` of matplotlib's ``colorbar``."""
    if not isinstance(artist.norm, LogNorm):
        options.setdefault("ticks", MaxNLocator(5))  # each tick takes a millisecond
    beside = artist.axes.inset_axes((1.03, 0, 0.05, 1))
    bar = artist.axes.figure.colorbar(artist, cax=beside, **options)
    bar.minorticks_off()
    return bar


def name_rows(axes: np.ndarray, names: Iterable[str]) -> None:
    """Write names at the left of the rows of a (rows, columns) array of panels without ticks."""
    for panel, name in zip(axes[:, 0], names, strict=True):
        panel.yaxis.set_visible(True)
        panel.set(yticks=[], ylabel=name)


def _power_of_ten(value: float, _position=None) -> str:
    exponent = np.log10(value) if value > 0 else 0.5
    whole = round(exponent)
    return "10" + str(whole).translate(SUPERSCRIPTS) if abs(exponent - whole) < 1e-6 else ""


POWERS_OF_TEN = FuncFormatter(_power_of_ten)
"""Ticks of a logarithmic axis, without mathematical text, which takes longer than all the rest of a panel."""


def new_figure(
    rows: int, columns: int, width: float = 2.7, height: float = 2.3, margins: Margins | None = None
) -> tuple[Figure, np.ndarray]:
    """A figure and its (rows, columns) array of axes, each about ``width`` x ``height`` inches.

    With ``margins`` around every panel nothing has to be measured: drawing takes half the time.
    """
    if margins is None:
        figure = Picture(figsize=(columns * width, rows * height + 0.4), layout="constrained")
        return figure, figure.subplots(rows, columns, squeeze=False)
    size = columns * width, rows * height + margins.head
    figure = Picture(figsize=size)
    across, down = width - margins.left - margins.right, height - margins.below - margins.above
    places = {
        "left": margins.left / size[0],
        "right": 1 - margins.right / size[0],
        "bottom": margins.below / size[1],
        "top": 1 - (margins.above + margins.head) / size[1],
        "wspace": (margins.left + margins.right) / across,
        "hspace": (margins.below + margins.above) / down,
    }
    return figure, figure.subplots(rows, columns, squeeze=False, gridspec_kw=places)


def check_figure_path(path: str | Path) -> str:
    """Format of a figure by its suffix; InputError if it is none of png, svg, pdf."""
    kind = Path(path).suffix.lstrip(".").lower()
    if kind not in FORMATS:
        raise InputError(f"{path}: figures end in {', '.join('.' + f for f in FORMATS)}; got '{Path(path).suffix}'")
    return kind


def save_figure(figure: Figure, path: str | Path, command: str = "") -> None:
    """Write a figure whole or not at all; the format follows the suffix, ``command`` goes into the file.

    Raises
    ------
    InputError   as :func:`check_figure_path`
    """
    kind = check_figure_path(path)
    key = {"png": "Description", "svg": "Description", "pdf": "Subject"}[kind]
    dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind, {})
    if (layout := figure.get_layout_engine()) is not None:
        layout.execute(figure)  # savefig would draw everything twice to do this
        figure.set_layout_engine("none")
    with atomic_path(path) as part:
        figure.savefig(part, format=kind, dpi=DOTS_PER_INCH, metadata={key: command, **dates})
