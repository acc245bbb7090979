"""The bits of masks, each by its table: one line for every bit that the descriptions name."""

import numpy as np
import pytest

from cdipipe.io.pixel_masks import any_fault, cxi_disputed, cxi_faults, is_cxi_fault, nexus_faults

CXI = {
    0x1: "invalid",
    0x2: "saturated",
    0x4: "hot",
    0x8: "dead",
    0x10: "shadowed",
    0x20: "in_peakmask",
    0x40: "to_be_ignored",
    0x80: "bad",
    0x100: "out_of_resolution_limits",
    0x200: "missing",
    0x400: "noisy",
    0x8000: "other",
    0x20000: "other",
}
CXI_GOOD = [0, 0x800, 0x1000, 0x2000, 0x4000, 0x10000, 0x800 | 0x1000]
NEXUS = {0: "gap", 1: "dead", 2: "under_responding", 3: "over_responding", 4: "noisy", 5: "other", 6: "cluster"}
NEXUS |= {7: "other", 8: "user", 15: "other"}
NEXUS_GOOD = [16, 17, 30, 31]


@pytest.mark.parametrize("dtype", [np.uint32, np.int64, np.float64])
@pytest.mark.parametrize(("bit", "name"), CXI.items())
def test_faults_of_cxi(bit, name, dtype):
    bits = np.array([[0, bit, bit | 0x1000]]).astype(dtype)
    assert {reason: where.tolist() for reason, where in cxi_faults(bits).items()} == {
        f"mask_{name}": [[False, True, True]]
    }
    assert is_cxi_fault(bits).tolist() == [[False, True, True]]


@pytest.mark.parametrize("bit", CXI_GOOD)
def test_what_is_no_fault_in_cxi(bit):
    bits = np.full((2, 2), bit, np.uint32)
    assert cxi_faults(bits) == {} and not is_cxi_fault(bits).any()


@pytest.mark.parametrize(("bit", "name"), NEXUS.items())
def test_faults_of_nexus(bit, name):
    for dtype in (np.uint32, np.int32, np.uint16) if bit < 15 else (np.uint32,):
        (reason,) = nexus_faults(np.array([0, 1 << bit]).astype(dtype)).items()
        assert reason[0] == f"pixel_mask_{name}" and reason[1].tolist() == [False, True]


@pytest.mark.parametrize("bit", NEXUS_GOOD)
def test_virtual_pixels_of_nexus_are_measured(bit):
    bits = np.array([1 << bit], np.uint32)
    assert nexus_faults(bits) == {} and nexus_faults(bits.view(np.int32)) == {}
    assert list(nexus_faults(bits | 2)) == ["pixel_mask_dead"]


def test_a_pixel_has_one_reason():
    faults = cxi_faults(np.array([0x3, 0x2]))
    assert {name: where.tolist() for name, where in faults.items()} == {
        "mask_invalid": [True, False],
        "mask_saturated": [False, True],
    }
    assert any_fault(faults, (2,)).all()


def test_masks_of_bool_and_nan():
    assert cxi_faults(np.array([True, False]))["mask_invalid"].tolist() == [True, False]
    assert nexus_faults(np.array([np.nan, 0.0]))["pixel_mask_gap"].tolist() == [True, False]


def test_bits_that_writers_use_differently_are_counted_where_nothing_else_is_wrong():
    bits = np.array([0x1000, 0x1000 | 0x800, 0x1001, 0x10000, 0])
    assert cxi_disputed(bits) == {0x1000: 2, 0x10000: 1}
