"""Raw frames to centred photons: the steps of ``cdipipe import``, decided by the first frame, for batches of frames.

Masks, dark, white field, background, bin and crop are those of an import with the same options; what an import decides
by a look over all frames (a centre at the peak, ``background=auto``, hot pixels) is decided by the first frame here.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from cdipipe.errors import InputError
from cdipipe.geometry import Geometry
from cdipipe.io.importing import detector, window
from cdipipe.io.importing.assemble import AFTER_SURVEY, BEFORE_SURVEY, choose_window
from cdipipe.io.importing.frames import Part
from cdipipe.io.importing.gather import open_intake
from cdipipe.io.importing.geometry import decide
from cdipipe.io.importing.options import ImportOptions, options_from_command
from cdipipe.measurement import Measurement

OF_FRAMES = ("stack", "frames", "axis", "as_given", "monitor", "friedel", "probe", "frame_interval_s", "exposure_s")
"""Options of an import that mean a whole stack, or a file."""


class Corrections:
    """What is done to every frame.

    Parameters
    ----------
    first : (H, W) numbers of the first frame
    options : of the import
    mask : (H, W) bool, optional; pixels that the source says can be trusted
    geometry : as the source tells, which the options complete

    Raises
    ------
    InputError   options that do not fit the frames
    """

    def __init__(self, first: np.ndarray, options: ImportOptions, mask=None, geometry: Geometry = Geometry()):
        refuse_stack_options(options)
        if first.ndim != 2:
            raise InputError(f"frames of shape {first.shape}; expected rows and columns")
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            file = Path(folder) / "first_frame.npy"
            np.save(file, first)
            intake = open_intake([file], options, stack)
            intake.prepare([step for step in BEFORE_SURVEY if step is not detector.tally])  # nobody asks for the sum
            intake.geometry = _complete(decide(intake), geometry)
            intake.prepare(AFTER_SURVEY)
            self._window, self._part = choose_window(intake)
            self._applied = intake.applied
        self._marks, self.raw_shape, self.raw_dtype = intake.marks, first.shape, first.dtype
        self._bad = None if mask is None else ~self._part.cut(_fit(mask, first.shape))
        self._kept: np.ndarray | None = None
        self.geometry, self.shape = intake.geometry, self._window.shape[1:]

    def __call__(self, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(B, H, W) numbers to (B, h, w) float32 photons and bool measured, centred, 0 where not measured."""
        part = Part(np.arange(len(raw)), self._part.rows, self._part.columns)
        frames = self._marks.to_frames(part.cut(raw), part)
        if self._bad is not None:
            frames.mask(self._bad, "source")
        for apply in self._applied:
            apply(frames, part)
        factors = self._window.factors
        if factors != (1, 1, 1):
            frames = window.bin_frames(frames, (1, *factors[1:]))
        counts, measured = frames.counts * frames.measured, frames.measured
        if counts.shape[1:] != self.shape:
            counts, measured = self._place(counts), self._place(measured)
        if self._kept is not None:
            counts, measured = counts * self._kept, measured & self._kept
        return counts, measured

    def masked_like(self, measurement: Measurement) -> Corrections:
        """Trust no pixel that the measurement does not trust, either.

        Raises
        ------
        InputError   its patterns have another shape
        """
        if measurement.pattern_shape != self.shape:
            raise InputError(f"--like: patterns of shape {measurement.pattern_shape}; frames become {self.shape}")
        measured = measurement.measured
        self._kept = measured if measured.ndim == 2 else measured.any(0)
        self.geometry = measurement.geometry
        return self

    def _place(self, values: np.ndarray) -> np.ndarray:
        """Values on the window's grid; what is beyond the detector is 0."""
        whole = np.zeros((len(values), *self.shape), values.dtype)
        whole[:, self._window.rows.inside, self._window.columns.inside] = values
        return whole


class AsTheyAre:
    """Frames of a measurement: photons already, masked as it is, or as each of them is."""

    def __init__(self, template: Measurement):
        self.shape = self.raw_shape = template.pattern_shape
        self.raw_dtype = template.intensity.dtype
        self.geometry = template.geometry
        self._measured = template.measured if template.measured.ndim == 2 else None

    def __call__(self, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(B, H, W) photons and the mask of each."""
        measured = np.ones(self.shape, bool) if self._measured is None else self._measured
        return np.asarray(raw, np.float32) * measured, np.repeat(measured[None], len(raw), axis=0)


def options_like(measurement: Measurement, where: str) -> ImportOptions:
    """The options with which a measurement was imported, with the centre that was found then.

    Raises
    ------
    InputError   the measurement was not imported
    """
    record = measurement.provenance.get("import")
    if not isinstance(record, dict) or "options" not in record:
        raise InputError(f"{where}: it was not made by `cdipipe import`, so it does not say how frames are corrected")
    options = {name: value for name, value in record["options"].items() if name not in OF_FRAMES}
    options.pop("no_centre", None)
    if record.get("centre") is not None:
        options["centre"] = list(record["centre"])[-2:]
    return ImportOptions.model_validate(options)


def options_from_words(words: list[str]) -> ImportOptions:
    """Options of ``cdipipe import`` from ``crop=128 mask=bad.npy``; a word alone is a flag.

    Raises
    ------
    InputError   an unknown name, or a value that is not allowed
    """
    given: dict = {}
    for word in words:
        name, equals, value = word.partition("=")
        name = name.strip().lstrip("-").replace("-", "_")
        if name not in ImportOptions.model_fields:
            raise InputError(f"--import {word}: `cdipipe import` has no option '{name}'")
        given[name] = value if equals else True
    return options_from_command(given)


def refuse_stack_options(options: ImportOptions) -> None:
    """Raise InputError for what has no meaning for frames that come one by one."""
    for name in OF_FRAMES:
        if getattr(options, name) not in (None, False):
            raise InputError(f"--import {name.replace('_', '-')}: has no meaning for frames that come one by one")


def _complete(own: Geometry, of_source: Geometry) -> Geometry:
    """What the options say, and where they are silent the source."""
    names = ("energy_ev", "distance_m", "pixel_y_m", "pixel_x_m")
    known = {name: getattr(of_source, name) for name in names if getattr(own, name) is None}
    return replace(own, **{name: value for name, value in known.items() if value is not None})


def _fit(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    if mask.shape != shape:
        raise InputError(f"the mask of the source has shape {mask.shape}, its frames {shape}")
    return mask
