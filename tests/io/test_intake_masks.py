"""Masks in files of their own and beside the data: which bits are bad, and what is questioned."""

import h5py
import numpy as np
import pytest
from intake import BAD, imported, nexus
from patterns import pattern

from cdipipe.errors import InputError


def write_mask(path, kind):
    if kind == "msk":
        from fabio.fit2dmaskimage import Fit2dMaskImage

        Fit2dMaskImage(data=BAD).write(str(path))
    elif kind == "png":
        from PIL import Image

        Image.fromarray(BAD * 255).save(path)
    elif kind == "edf":
        from fabio.edfimage import EdfImage

        EdfImage(data=BAD).write(str(path))
    elif kind == "tif":
        import tifffile

        tifffile.imwrite(path, BAD)
    else:
        np.save(path, BAD)


@pytest.mark.parametrize("kind", ["msk", "png", "edf", "tif", "npy"])
def test_masks_of_other_programs(save, tmp_path, kind):
    file, mask = save(pattern()), tmp_path / f"m.{kind}"
    write_mask(mask, kind)
    for options in [{"mask_bad": True}] + ([{}] if kind == "msk" else []):
        measurement, facts, _ = imported(file, mask=str(mask), **options)
        assert np.array_equal(measurement.measured, BAD == 0) and facts["masked"] == {"mask": 256}
    assert np.array_equal(imported(file, mask=str(mask), mask_good=True)[0].measured, BAD == 1)


def test_a_mask_that_leaves_next_to_nothing_is_questioned(save):
    few = np.zeros((64, 64))
    few[30, 30:40] = 1
    mask = save(few, "m.npy")
    with pytest.raises(InputError, match=r"leaves 0.244 % of the pixels.*--mask-bad.*--mask-good"):
        imported(save(pattern()), mask=mask)
    assert imported(save(pattern()), mask=mask, mask_bad=True)[0].measured.sum() == 64 * 64 - 10
    assert imported(save(pattern()), mask=mask, mask_good=True)[0].measured.sum() == 10
    outside = np.ones((64, 64))
    outside[14:50, 14:50] = 0
    outside[:20] = 0
    with pytest.raises(InputError, match=r"of the photons"):  # less than half of the pixels, and none with light
        imported(save(np.where(outside, 0, pattern())), mask=save(outside, "o.npy"))


def test_what_nonzero_means_is_said_of_a_mask(save):
    for options in ({"mask_bad": True}, {"mask_good": True}):
        with pytest.raises(InputError, match="no mask beside the data"):
            imported(save(pattern()), **options)
    with pytest.raises(InputError, match="one or the other"):
        imported(save(pattern()), mask=save(BAD, "m.npy"), mask_bad=True, mask_good=True)


def cxi(path, bits, version=160):
    with h5py.File(path, "w") as file:
        file["cxi_version"] = version
        file["entry_1/instrument_1/detector_1/data"] = pattern(photons=1e5).astype(np.uint32)
        file["entry_1/instrument_1/detector_1/mask"] = bits
        file["entry_1/data_1/data"] = h5py.SoftLink("/entry_1/instrument_1/detector_1/data")
    return str(path)


def test_cxi_masks_are_read_by_their_bits(tmp_path):
    bits = np.zeros((64, 64), np.uint32)
    bits[1, :3], bits[2, :2], bits[3, :5], bits[4, 0] = 0x1, 0x2, 0x200, 0x8 | 0x4
    bits[10:20], bits[20:30], bits[30] = 0x1000, 0x10000, 0x800
    measurement, facts, told = imported(cxi(tmp_path / "a.cxi", bits))
    expected = {"mask_invalid": 3, "mask_saturated": 2, "mask_hot": 1, "mask_missing": 5}
    assert facts["masked"] == expected and (~measurement.measured).sum() == 11
    assert "640 pixels have bit 0x1000 only" in told and "--mask-bad" in told
    everything, _, _ = imported(cxi(tmp_path / "a.cxi", bits), mask_bad=True)
    assert np.array_equal(everything.measured, bits == 0)


def test_cxi_masks_the_other_way_round_are_questioned(tmp_path):
    good = np.ones((64, 64), np.uint8)
    good[20:22] = 0
    file = cxi(tmp_path / "a.cxi", good)
    with pytest.raises(InputError, match=r"leaves 3.1\d* % of the pixels.*--mask-good"):
        imported(file)
    assert np.array_equal(imported(file, mask_good=True)[0].measured, good == 1)


def test_nexus_masks_are_read_by_their_bits(tmp_path):
    frames = np.stack([pattern(photons=1e5, seed=s) for s in range(3)]).astype(np.uint32)
    bits, more = np.zeros((2, 64, 64), np.uint32)
    bits[1, :4], bits[2, :3], bits[3, :2], bits[4, 0] = 1, 2, 16, 1 << 8
    bits[40:50] = 1 << 31
    more[5, :6] = 1 << 8
    file = nexus(tmp_path / "a.nxs", frames, pixel_mask=bits, pixel_mask_2=more)
    measurement, facts, told = imported(file, stack="shots")
    assert np.array_equal(measurement.measured, (bits & 0xFFFF | more) == 0) and "pixel_mask beside the data" in told
    reasons = {"gap": 4, "dead": 3, "noisy": 2, "user": 7}
    assert facts["masked"] == {f"pixel_mask_{name}": 3 * count for name, count in reasons.items()}


def test_nexus_masks_may_differ_from_frame_to_frame(tmp_path):
    frames = np.stack([pattern(photons=1e5, seed=s) for s in range(3)]).astype(np.uint32)
    bits = np.zeros((3, 64, 64), np.uint32)
    bits[1, 5, 5] = 1
    measurement, facts, _ = imported(nexus(tmp_path / "a.nxs", frames, pixel_mask=bits), stack="shots")
    assert np.argwhere(~measurement.measured).tolist() == [[1, 5, 5]] and facts["masked"] == {"pixel_mask_gap": 1}
