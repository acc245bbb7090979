"""What the bits of a pixel mask say: the tables of CXI and of NeXus, and which of their bits are no fault.

CXI: file format description version 1.6, www.cxidb.org. NeXus: ``pixel_mask`` of NXdetector, manual.nexusformat.org;
DECTRIS detectors write the same.
"""

from __future__ import annotations

import numpy as np

CXI_FAULTS = {
    "invalid": 0x1,
    "saturated": 0x2,
    "hot": 0x4,
    "dead": 0x8,
    "shadowed": 0x10,
    "in_peakmask": 0x20,
    "to_be_ignored": 0x40,
    "bad": 0x80,
    "out_of_resolution_limits": 0x100,
    "missing": 0x200,
    "noisy": 0x400,
}
CXI_NO_FAULTS = {
    "artifact_corrected": 0x800,
    "has_signal": 0x1000,
    "peak_for_hitfinder": 0x2000,
    "background_corrected": 0x4000,
    "inside_support": 0x10000,
}
CXI_HARMLESS = sum(CXI_NO_FAULTS.values())
CXI_DISPUTED = {0x1000: "artifact correction failed (Cheetah)", 0x10000: "masked by the user"}
"""Bits without fault by the description that some writers use for faults."""

NEXUS_FAULTS = {
    "gap": 1 << 0,
    "dead": 1 << 1,
    "under_responding": 1 << 2,
    "over_responding": 1 << 3,
    "noisy": 1 << 4,
    "cluster": 1 << 6,
    "user": 1 << 8,
}
NEXUS_FAULT_BITS = 0xFFFF
"""Bits 16 to 31 tag pixels that are measured all the same: virtual pixels (30, 31) and what is not defined."""


def _whole(bits: np.ndarray) -> np.ndarray:
    """Bits as int64; a value that is no number is bit 0."""
    if bits.dtype.kind == "f":
        bits = np.nan_to_num(bits, nan=1.0, posinf=1.0, neginf=1.0)
    return bits.astype(np.int64)


def _by_reason(bits: np.ndarray, names: dict[str, int], prefix: str) -> dict[str, np.ndarray]:
    """Pixels by the first of the ``names`` whose bit they have; what is left has ``other``."""
    reasons: dict[str, np.ndarray] = {}
    left = bits != 0
    for name, bit in names.items():
        here = left & (bits & bit != 0)
        if here.any():
            reasons[prefix + name] = here
            left &= ~here
    if left.any():
        reasons[prefix + "other"] = left
    return reasons


def cxi_faults(bits: np.ndarray, prefix: str = "mask_") -> dict[str, np.ndarray]:
    """Pixels that a CXI mask calls faulty, by reason; each pixel under one reason only.

    Parameters
    ----------
    bits : integer, any shape; a bool mask is True where the pixel is bad

    Returns
    -------
    dict of name -> bool array of the shape of ``bits``; reasons without a pixel are left out
    """
    return _by_reason(_whole(bits) & ~CXI_HARMLESS, CXI_FAULTS, prefix)


def is_cxi_fault(bits: np.ndarray) -> np.ndarray:
    """True where a CXI mask has any bit that is a fault."""
    return bits if bits.dtype.kind == "b" else (_whole(bits) & ~CXI_HARMLESS) != 0


def cxi_disputed(bits: np.ndarray) -> dict[int, int]:
    """Pixels whose only marks are bits that writers use differently (:data:`CXI_DISPUTED`), by bit."""
    whole = _whole(bits)
    otherwise_good = whole & ~CXI_HARMLESS == 0
    counts = {bit: int(np.count_nonzero(otherwise_good & (whole & bit != 0))) for bit in CXI_DISPUTED}
    return {bit: count for bit, count in counts.items() if count}


def nexus_faults(bits: np.ndarray, prefix: str = "pixel_mask_") -> dict[str, np.ndarray]:
    """Pixels that a NeXus ``pixel_mask`` calls faulty, by reason; as :func:`cxi_faults`.

    Any of the bits 0 to 15 is a fault, also those without a name; bits 16 to 31 alone are not.
    """
    return _by_reason(_whole(bits) & NEXUS_FAULT_BITS, NEXUS_FAULTS, prefix)


def any_fault(faults: dict[str, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """True where any reason holds."""
    bad = np.zeros(shape, dtype=bool)
    for where in faults.values():
        bad |= where
    return bad
