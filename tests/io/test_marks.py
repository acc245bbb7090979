"""Which numbers of a file are no photon counts: one line of the table for each writer's convention."""

import numpy as np
import pytest

from cdipipe.errors import InputError
from cdipipe.io.marks import Dummy, choose_marks, to_counts

U8, U16, U32, U64, I16, I32, F32, F64 = ["u1", "u2", "u4", "u8", "i2", "i4", "f4", "f8"]
GAP = (slice(2, 4), slice(None))

CONVENTIONS = [
    # name, type, value in a gap of 2 x 6 pixels, reason
    ("DECTRIS gap of 32 bits", U32, 2**32 - 1, "mark_4294967295"),
    ("DECTRIS defect of 32 bits", U32, 2**32 - 2, "mark_4294967294"),
    ("gap of 16 bits", U16, 2**16 - 1, "mark_65535"),
    ("defect of 16 bits", U16, 2**16 - 2, "mark_65534"),
    ("8 bits, full", U8, 255, "mark_255"),
    ("gap of 64 bits", U64, 2**64 - 1, "mark_18446744073709551615"),
    ("-2 stored unsigned", U64, 2**64 - 2, "mark_18446744073709551614"),
    ("-10 stored unsigned", U32, 2**32 - 10, "mark_4294967286"),
    ("-1 of 32 bits in 64", U64, 2**32 - 1, "mark_4294967295"),
    ("65535 in 32 bits", U32, 65535, "mark_65535"),
    ("65535 in signed 32 bits", I32, 65535, "mark_65535"),
    ("65535 in floating point", F32, 65535, "mark_65535"),
    ("largest signed", I32, 2**31 - 1, "mark_2147483647"),
    ("largest signed, 16 bits", I16, 2**15 - 1, "mark_32767"),
    ("2^32 - 1 rounded by float32", F32, 2.0**32, "mark_4294967296"),
    ("2^32 - 1 in float64", F64, 2.0**32 - 1, "mark_4294967295"),
    ("largest float32", F32, np.finfo(np.float32).max, "mark_3.4e+38"),
    ("largest float64", F64, np.finfo(np.float64).max, "mark_1.8e+308"),
    ("1e300", F64, 1e300, "beyond_float32"),
    ("Pilatus gap", I32, -1, "negative"),
    ("Pilatus defect", I16, -2, "negative"),
    ("-9999", F32, -9999, "negative"),
    ("NaN", F32, np.nan, "not_finite"),
    ("infinite", F64, np.inf, "not_finite"),
]


def frame(dtype):
    counts = np.arange(36).reshape(6, 6) % 9
    return counts.astype(dtype)


@pytest.mark.parametrize(
    ("dtype", "value", "reason"), [row[1:] for row in CONVENTIONS], ids=[r[0] for r in CONVENTIONS]
)
def test_marks(dtype, value, reason):
    values = frame(dtype)
    values[GAP] = value
    found = choose_marks(values.dtype, [values]).reasons(values)
    assert list(found) == [reason]
    expected = np.zeros((6, 6), bool)
    expected[GAP] = True
    assert np.array_equal(found[reason], expected)
    counts = to_counts(values, found)
    assert counts.dtype == np.float32 and np.array_equal(counts, np.where(expected, 0, frame(F32)))


@pytest.mark.parametrize("dtype", [U8, U16, U32, U64, I16, I32, F32, F64])
def test_plain_counts_have_no_marks(dtype):
    values = frame(dtype)
    values[0, 0] = 120
    assert choose_marks(values.dtype, [values]).reasons(values) == {}


def test_two_marks_are_two_reasons():
    values = frame(U32)
    values[0, :2], values[1, :3] = 2**32 - 1, 2**32 - 2
    found = choose_marks(values.dtype, [values]).reasons(values)
    assert {name: int(where.sum()) for name, where in found.items()} == {"mark_4294967295": 2, "mark_4294967294": 3}


def test_65535_is_a_count_where_larger_counts_are():
    values = frame(U32)
    values[0, :3], values[1, 1] = 65535, 65600
    assert choose_marks(values.dtype, [values]).reasons(values) == {}
    single = frame(U32)
    single[0, 0] = 65535
    assert choose_marks(single.dtype, [single]).reasons(single) == {}
    assert list(choose_marks(single.dtype, [single, single]).reasons(single)) == ["mark_65535"]  # in every frame


@pytest.mark.parametrize(
    ("dtype", "dummy", "stored"), [(F32, -10.5, -10.5), (F32, 1e-3, 1e-3), (U16, -1, 65535), (I32, 7, 7)]
)
def test_a_header_names_its_own_dummy(dtype, dummy, stored):
    values = frame(dtype)
    values[values == 7] = 3
    values[GAP] = stored
    found = choose_marks(values.dtype, [values], (Dummy(dummy),)).reasons(values)
    assert {name: int(where.sum()) for name, where in found.items()} == {"dummy": 12}


def test_a_dummy_has_a_tolerance():
    values = frame(F64)
    values[0] = [-10.4, -10, -9.6, 5, 5, 5]
    found = choose_marks(values.dtype, [values], (Dummy(-10, 0.5),)).reasons(values)
    assert {name: int(where.sum()) for name, where in found.items()} == {"dummy": 3}


def test_signed_counts_keep_their_noise():
    values = frame(F32) - 3
    assert choose_marks(values.dtype, [values], keep_negative=True).reasons(values) == {}


def test_a_unit_that_float32_cannot_hold_is_refused():
    values = frame(F64) * 1e40
    with pytest.raises(InputError, match=r"beyond 3.4e\+38.*divide by a constant"):
        choose_marks(values.dtype, [values]).reasons(values)
