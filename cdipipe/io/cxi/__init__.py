"""Measurements, truths and reconstructions in CXI files (HDF5, CXIDB layout, SI units).

=====================  ==========================================================================================
measurement            ``/entry_1/data_1/{data,mask}``, soft links into ``instrument_1/detector_1``
                       ``/entry_1/illumination_1/probe_modes``, ``static_region_1/{object,support}``, ``frame_times``,
                       ``object_support``
truth, reconstruction  ``/entry_1/image_1/{data,mask,support,...}``, ``image_1/process_1``: method, recipe, error trace
                       ``/entry_1/{runs,run_scores,free_pixels,modes,mode_weights}``; truth: ``extra_1``
all                    ``/entry_1/process_1/provenance`` (JSON), ``instrument_1/{source_1,detector_1}``
=====================  ==========================================================================================

Masks are CXI bits in files (0: good) and ``measured`` in memory (True: good).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cdipipe.errors import InputError
from cdipipe.io.counts import check_usable, clean_counts, compact_counts
from cdipipe.io.cxi import layout
from cdipipe.io.cxi.extra import read_extra, read_scene, write_extra, write_scene
from cdipipe.io.cxi.geometry import read_geometry, write_geometry
from cdipipe.io.cxi.image import read_image, read_results, write_image, write_results
from cdipipe.io.hdf5 import Source, create_file, open_source, read_attribute
from cdipipe.io.marks import choose_marks, to_counts
from cdipipe.io.pixel_masks import any_fault
from cdipipe.measurement import Measurement, Reconstruction, Stack, Truth

DATA_PATHS = ("/entry_1/data_1/data", f"{layout.DETECTOR_GROUP}/data", "/entry_1/image_1/data")
MASK_NAMES = ("mask", "mask_shared")
MASK_QUESTIONED = 0.05
"""A mask of another tool that leaves less of the pixels may be the wrong way round."""


@dataclass(frozen=True)
class RawPatterns:
    """Numbers of a CXI file before they are judged; None where the file does not say.

    ``bits`` is the pixel mask called ``mask_name``; ``centre`` is the index (..., row, column) of the zero frequency of
    an assembled image.
    """

    name: str
    values: np.ndarray
    bits: np.ndarray | None
    mask_name: str | None
    stack: Stack | None
    is_signed: bool
    centre: tuple[int, ...] | None = None
    is_own: bool = False


def _check_kind(source: Source, wanted: str) -> None:
    kind = layout.read_kind(source)
    if kind not in (wanted, None):
        raise InputError(f"{source.path}: holds a {kind}; a {wanted} is needed here")


def _find_data(source: Source) -> str:
    for name in DATA_PATHS:
        if source.dataset(name) is not None:
            return name
    raise InputError(f"{source.path}: no measurement inside; looked for {', '.join(DATA_PATHS)}")


def _read_mask(source: Source, data_name: str, shape: tuple[int, ...]) -> tuple[np.ndarray, str] | tuple[None, None]:
    folders = (data_name.rpartition("/")[0], layout.DETECTOR_GROUP)
    names = [f"{folder}/{mask}" for folder in folders for mask in MASK_NAMES]
    for name in names:
        bits = source.array(name, "integer")
        if bits is None:
            continue
        if bits.ndim > 2 and bits.shape[0] == 1:
            bits = bits[0]
        if bits.shape not in (shape, shape[-2:]):
            raise InputError(
                f"{source.where(name)} has shape {bits.shape}; data: {shape}; allowed: {shape[-2:]}, {shape}"
            )
        return bits, name
    return None, None


def _to_centre(
    source: Source, name: str, values: np.ndarray, bits: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Undo what the group of an assembled image says of itself: corner-centred, amplitudes."""
    group = name.rpartition("/")[0]
    shifted = source.array(f"{group}/is_fft_shifted")
    if shifted is not None and shifted.size == 1 and shifted.item() == 1:
        values = np.fft.fftshift(values, axes=(-2, -1))
        bits = None if bits is None else np.fft.fftshift(bits, axes=(-2, -1))
    is_text = source.dataset(f"{group}/data_type") is not None
    if is_text and "amplitude" in (source.text(f"{group}/data_type") or ""):
        values = values.astype(np.float64) ** 2
    return values, bits


def read_raw(source: Source) -> RawPatterns:
    """Patterns and mask of a CXI file of any tool, zero frequency centred, not yet judged.

    Parameters
    ----------
    source : the open file

    Returns
    -------
    RawPatterns, ``values`` (H, W) or (N, H, W)

    Raises
    ------
    InputError   no patterns where CXI files have them, or shapes that do not fit
    """
    name = _find_data(source)
    is_own = layout.read_kind(source) is not None
    values = source.array(name, "number", np.float32 if is_own else None)
    stack = layout.read_stack(source, name)
    if values.ndim == 3 and values.shape[0] == 1 and stack is None:
        values = values[0]
    if values.ndim not in (2, 3):
        raise InputError(f"{source.where(name)} has shape {values.shape}; allowed: (H, W) or (N, H, W)")
    bits, mask_name = _read_mask(source, name, values.shape)
    values, bits = _to_centre(source, name, values, bits)
    is_signed = bool(read_attribute(source.dataset(name), "signed"))
    return RawPatterns(name, values, bits, mask_name, stack, is_signed, _read_centre(source, name), is_own)


def _read_centre(source: Source, name: str) -> tuple[int, ...] | None:
    """``image_center`` (x, y, z) of the data's group as an index; None where it is absent or not a place."""
    place = source.array(f"{name.rpartition('/')[0]}/image_center", dtype=np.float64)
    if place is None or place.ndim != 1 or len(place) not in (2, 3) or not (np.abs(place) < 2**31).all():
        return None
    x, y, *z = np.rint(place).astype(int).tolist()
    return (*z, y, x)


def _finish_mask(raw: RawPatterns, stack: Stack) -> np.ndarray:
    values = raw.values
    if raw.bits is None:
        return np.ones(values.shape if stack == "volume" else values.shape[-2:], dtype=bool)
    measured = layout.bits_to_measured(raw.bits)
    if stack == "volume" and measured.ndim == 2:
        return np.repeat(measured[None], values.shape[0], axis=0)
    return measured


def _judge(raw: RawPatterns, measured: np.ndarray, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Counts in float32, and the pixels that were measured and hold a count.

    Raises
    ------
    InputError   the mask of another tool leaves next to nothing, or its numbers have no unit of counts
    """
    if raw.is_own:
        values, measured, _ = clean_counts(raw.values, measured, keep_negative=raw.is_signed)
        return values, measured
    share = float(measured.mean())
    if 0 < share < MASK_QUESTIONED:
        raise InputError(
            f"{where}: its mask leaves {100 * share:.2g} % of the pixels; cdipipe import with --mask-good, if its "
            "nonzero means measured, or --mask-bad, if it is right"
        )
    try:
        reasons = choose_marks(raw.values.dtype, [raw.values], keep_negative=raw.is_signed).reasons(raw.values)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    if reasons:
        measured = measured & ~any_fault(reasons, raw.values.shape)
    return to_counts(raw.values, reasons), measured


def read_measurement(path: str | Path) -> Measurement:
    """Read the patterns of a CXI file, of this package or of another tool.

    Pixels with NaN or infinite counts become unmeasured, negative ones too unless the file says that it is signed (see
    :func:`write_measurement`), and in files of other tools the marks of detectors (:mod:`cdipipe.io.marks`).
    A stack of another tool is taken as shots; ``cdipipe import --stack`` says otherwise.

    Parameters
    ----------
    path : CXI file

    Returns
    -------
    Measurement in photons, float32

    Raises
    ------
    InputError
        The file is missing something, damaged, of another kind, all masked, or without photons.
    """
    with open_source(path) as source:
        _check_kind(source, "measurement")
        raw = read_raw(source)
        stack = raw.stack or ("single" if raw.values.ndim == 2 else "shots")
        if raw.values.ndim != (2 if stack == "single" else 3):
            raise InputError(f"{path}: patterns of shape {raw.values.shape} cannot be a '{stack}'")
        intensity, measured = _judge(raw, _finish_mask(raw, stack), str(path))
        check_usable(intensity, measured, str(path))
        provenance = layout.read_provenance(source) if layout.read_kind(source) else {}
        geometry, scene = read_geometry(source), read_scene(source)
    try:
        return Measurement(intensity, measured, stack, geometry, provenance=provenance, **scene)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def write_measurement(path: str | Path, measurement: Measurement) -> None:
    """Write a measurement; whole numbers are stored as integers, losslessly.

    The attribute ``signed`` of the data is set where measured counts are negative (read noise, background
    subtracted), so that readers keep them.

    Parameters
    ----------
    path : CXI file to write, whole or not at all
    measurement : in photons

    Raises
    ------
    InputError, OSError
        The place cannot be written, or the disk is full; nothing is left behind.
    """
    intensity = np.asarray(measurement.intensity, dtype=np.float32)
    with create_file(path) as file:
        entry = layout.write_header(file, "measurement", measurement.provenance)
        detector = write_geometry(entry, measurement.geometry)
        stored = layout.write_array(detector, "data", compact_counts(intensity))
        layout.write_attributes(stored, stack=measurement.stack, axes=layout.AXES[measurement.stack])
        if np.any((intensity < 0) & measurement.measured):
            stored.attrs["signed"] = np.uint8(1)
        layout.write_array(detector, "mask", layout.measured_to_bits(measurement.measured))
        _link_data(entry, detector.name, ("data", "mask"))
        write_scene(entry, measurement)


def _link_data(entry: Any, folder: str, names: tuple[str, ...]) -> None:
    """Fill ``data_1`` with soft links, where other tools look first."""
    import h5py

    data = layout.make_group(entry, "data_1", "NXdata")
    layout.write_attributes(data, signal="data")
    for name in names:
        data[name] = h5py.SoftLink(f"{folder}/{name}")


def write_truth(path: str | Path, truth: Truth) -> None:
    """Write a simulated object; only ``simulate`` does so.

    Parameters
    ----------
    path : CXI file to write, whole or not at all
    truth : of :func:`cdipipe.simulate`

    Raises
    ------
    InputError, OSError
        As :func:`write_measurement`.
    """
    with create_file(path) as file:
        entry = layout.write_header(file, "truth", truth.provenance)
        write_geometry(entry, truth.geometry)
        write_image(entry, truth.object, truth.support, truth.stack)
        write_extra(entry, truth.extra)
        _link_data(entry, "/entry_1/image_1", ("data",))


def read_truth(path: str | Path) -> Truth:
    """Read a simulated object; only ``evaluate`` does so.

    Parameters
    ----------
    path : CXI file that :func:`write_truth` wrote

    Raises
    ------
    InputError
        Any other file, or a damaged one.
    """
    with open_source(path) as source:
        if layout.read_kind(source) != "truth":
            raise InputError(f"{path}: holds a {layout.read_kind(source) or 'file of another tool'}; a truth is needed")
        image, support, stack = read_image(source)
        geometry, provenance = read_geometry(source), layout.read_provenance(source)
        return Truth(image, support, stack, geometry, provenance, read_extra(source))


def write_reconstruction(path: str | Path, reconstruction: Reconstruction) -> None:
    """Write an object with its runs, scores, error trace and recipe.

    Parameters
    ----------
    path : CXI file to write, whole or not at all
    reconstruction : of :func:`cdipipe.reconstruct`

    Raises
    ------
    InputError, OSError
        As :func:`write_measurement`.
    """
    with create_file(path) as file:
        entry = layout.write_header(file, "reconstruction", reconstruction.provenance)
        write_geometry(entry, reconstruction.geometry)
        write_image(entry, reconstruction.object, reconstruction.support, reconstruction.stack)
        write_results(entry, reconstruction)
        _link_data(entry, "/entry_1/image_1", ("data",))


def read_reconstruction(path: str | Path) -> Reconstruction:
    """Read a reconstruction, of this package or the complex image of another tool's CXI file.

    Parameters
    ----------
    path : CXI file

    Raises
    ------
    InputError
        The file is damaged, is a measurement or a truth, or its arrays do not fit each other.
    """
    with open_source(path) as source:
        _check_kind(source, "reconstruction")
        image, support, stack = read_image(source)
        return Reconstruction(
            object=image,
            support=support,
            stack=stack,
            geometry=read_geometry(source),
            provenance=layout.read_provenance(source) if layout.read_kind(source) else {},
            **read_results(source, image.shape),
        )


def file_kind(path: str | Path) -> str:
    """What a CXI file holds: ``measurement``, ``truth`` or ``reconstruction``.

    Parameters
    ----------
    path : CXI file of this package or of another tool

    Raises
    ------
    FileNotFoundError
        There is no such file.
    InputError
        It is no HDF5 file, or a damaged one.
    """
    with open_source(path) as source:
        if (kind := layout.read_kind(source)) is not None:
            return kind
        image = source.dataset("/entry_1/image_1/data")
        has_patterns = any(source.dataset(name) is not None for name in DATA_PATHS[1:2])
        is_complex = image is not None and image.dtype.kind == "c"
        return "reconstruction" if is_complex and not has_patterns else "measurement"


def patterns_bytes(path: str | Path) -> int:
    """How much memory the patterns of a CXI file fill, as they are stored; 0 where there are none.

    Parameters
    ----------
    path : a CXI file of any tool; its numbers are not read

    Raises
    ------
    InputError   the file is damaged, or no HDF5 file
    """
    with open_source(path) as source:
        found = (source.dataset(name) for name in DATA_PATHS)
        return next((int(node.size) * node.dtype.itemsize for node in found if node is not None), 0)
