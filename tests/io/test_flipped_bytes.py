"""One byte flipped anywhere in a CXI file is found, or lies where nothing is."""

import mutations
import numpy as np
import pytest

from cdipipe.errors import InputError
from cdipipe.io import cxi

PLACES = 250


def content(record) -> dict:
    return {k: v.tobytes() if isinstance(v, np.ndarray) else repr(v) for k, v in vars(record).items()}


@pytest.mark.parametrize("kind, read", [("cxi", cxi.read_measurement), ("reconstruction", cxi.read_reconstruction)])
def test_a_flipped_byte_never_changes_what_is_read(tmp_path, kind, read):
    file, rng = tmp_path / "damaged.cxi", np.random.default_rng(3)
    mutations.write_valid(file, kind, mutations.counts(rng))
    valid, expected, found = file.read_bytes(), content(read(file)), 0
    for place in rng.integers(0, len(valid), PLACES):
        damaged = bytearray(valid)
        damaged[place] ^= 1 << int(rng.integers(8))
        file.write_bytes(damaged)
        try:
            assert content(read(file)) == expected, int(place)
        except InputError as error:
            assert str(file) in str(error) and "\n" not in str(error)
            found += 1
    assert found > PLACES / 2
