"""Messages of DECTRIS detectors: read as written, packed as the filters of HDF5 do, damaged ones refused."""

from __future__ import annotations

import io
import json

import h5py
import hdf5plugin
import numpy as np
import pytest

from cdipipe.live import dectris
from cdipipe.live.dectris_compression import compress, decompress
from cdipipe.live.dectris_writer import Writer

cbor2 = pytest.importorskip("cbor2")
FILTERS = {"bslz4": hdf5plugin.Bitshuffle(), "lz4": hdf5plugin.LZ4()}


@pytest.fixture
def image(rng=np.random.default_rng(0)):
    return rng.poisson(3, (70, 131)).astype(np.uint32)


@pytest.mark.parametrize("compression", ["bslz4", "lz4", "none"])
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
def test_images_come_back(image, version, compression, dtype):
    for values in (image.astype(dtype), image[:5, :7].astype(dtype)):
        message = dectris.parse(Writer(version, compression, 7).image(12, values))
        assert (message.kind, message.series, message.number) == ("image", 7, 12)
        np.testing.assert_array_equal(message.read(), values)
        assert message.read().dtype == dtype


@pytest.mark.parametrize("name", FILTERS)
def test_compression_is_that_of_the_hdf5_filters(image, name):
    with h5py.File(io.BytesIO(), "w") as file:
        stored = file.create_dataset("x", data=image, chunks=image.shape, **FILTERS[name])
        packed = stored.id.read_direct_chunk((0, 0))[1]
        assert decompress(packed, name, image.dtype, image.nbytes) == image.tobytes()
        stored.id.write_direct_chunk((0, 0), compress(image + 1, name))
        file.flush()
        np.testing.assert_array_equal(stored[...], image + 1)


@pytest.mark.parametrize("version", [1, 2])
def test_the_start_tells_the_geometry(version):
    facts = {"energy_ev": 8000.0, "distance_m": 1.5, "pixel_x_m": 75e-6, "pixel_y_m": 75e-6}
    writer = Writer(version, "none", 3, facts)
    message = dectris.parse(writer.start((4, 6), 10))
    assert (message.kind, message.series, message.facts, message.mask) == ("start", 3, facts, None)
    assert dectris.parse(writer.end()).kind == "end"


def test_the_start_may_bring_a_mask():
    bits = np.zeros((4, 6), np.uint32)
    bits[1, 2] = 1
    about = {"htype": "dpixelmask-1.0", "shape": [6, 4], "type": "uint32"}
    parts = [{"htype": "dheader-1.0", "series": 1, "header_detail": "all"}, {"photon_energy": 8000}, about]
    parts = [json.dumps(part).encode() for part in parts]
    assert np.argwhere(~dectris.parse([*parts, bits.tobytes()]).mask).tolist() == [[1, 2]]
    tag = cbor2.CBORTag(40, [[4, 6], cbor2.CBORTag(70, bits.tobytes())])
    start = cbor2.dumps({"type": "start", "series_id": 1, "pixel_mask": {"threshold_1": tag}})
    assert np.argwhere(~dectris.parse([start]).mask).tolist() == [[1, 2]]


def test_a_message_as_in_the_documentation_of_version_1(image):
    """Columns come first in the shape, and the header may have keys that nobody needs."""
    values = image[:3, :5].astype(np.uint16)
    parts = [
        {"htype": "dimage-1.0", "series": 9, "frame": 4, "hash": "fc67f000d08fe6b380ea9434b8362d22"},
        {"htype": "dimage_d-1.0", "shape": [5, 3], "type": "uint16", "encoding": "<", "size": values.nbytes},
    ]
    message = dectris.parse([*(json.dumps(part).encode() for part in parts), values.tobytes(), b'{"real_time": 1}'])
    np.testing.assert_array_equal(message.read(), values)


@pytest.mark.parametrize("compression", ["bslz4", "lz4", "none"])
@pytest.mark.parametrize("version", [1, 2])
def test_damaged_messages_are_value_errors(image, version, compression):
    """Cut anywhere, and with any byte changed, a message is read or refused; nothing else happens."""
    rng = np.random.default_rng(1)
    parts = Writer(version, compression).image(0, image)
    for trial in range(60):
        which = rng.integers(len(parts))
        broken = bytearray(parts[which])
        if trial % 2:
            broken = broken[: rng.integers(len(broken))]
        else:
            broken[rng.integers(len(broken))] ^= int(rng.integers(1, 256))
        try:
            message = dectris.parse([*parts[:which], bytes(broken), *parts[which + 1 :]])
            if message.read is not None:
                message.read()
        except ValueError:
            continue
    for nonsense in (
        [],
        [b""],
        [b"{"],
        [b"[]"],
        [b"\xff" * 20],
        [b'{"htype": "dimage-1.0"}'],
        *([parts[:1]] if version == 1 else []),
    ):
        with pytest.raises(ValueError):
            message = dectris.parse(nonsense)
            message.read()


def test_a_frame_that_claims_to_be_huge_is_refused_before_memory_is_asked_for(image):
    parts = Writer(1, "bslz4").image(0, image)
    parts[1] = json.dumps({**json.loads(parts[1]), "shape": [10**6, 10**6]}).encode()
    with pytest.raises(ValueError, match="bytes"):
        dectris.parse(parts).read()
