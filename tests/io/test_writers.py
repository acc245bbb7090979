"""What detectors, beamlines and programs write is imported as it was measured: counts, mask, and what is absent."""

import numpy as np
import pytest
import writers

from cdipipe.io.importing.assemble import explain_files, import_files
from cdipipe.io.importing.options import ImportOptions

FRAMES = writers.made_up_frames()


@pytest.mark.parametrize("name", writers.WRITERS)
def test_counts_and_masks_of_every_writer(tmp_path, name):
    written = writers.WRITERS[name](tmp_path, FRAMES)
    options = ImportOptions(**{"stack": "shots", **written.options})
    measurement, account = import_files(written.names, options)
    good = np.ones(FRAMES.shape, bool)
    good[list(written.absent)] = False
    if written.bad is not None:
        good &= written.bad == 0
    assert measurement.intensity.shape == FRAMES.shape
    np.testing.assert_array_equal(np.broadcast_to(measurement.measured, FRAMES.shape), good)
    np.testing.assert_array_equal(measurement.intensity[good], FRAMES[good])
    told = "\n".join(account.told())
    assert not written.absent or "4 to 7" in told or "9 to 11" in told
    assert written.bad is None or "mask" in told or "never written" in told


@pytest.mark.parametrize("name", writers.WRITERS)
def test_a_volume_s_corner_of_every_writer(tmp_path, name):
    """The same through the lazy way: some frames, a window that is read alone, and its centre given."""
    written = writers.WRITERS[name](tmp_path, FRAMES)
    options = {"stack": "volume", "frames": "1:9:2", "crop": (4, 8, 10), "centre": (2, 8, 6)}
    stack = {"stack": "shots"} if written.options.get("stack") == "raster" else {}
    options = ImportOptions(
        **{**written.options, **options, **stack, **({"crop": (8, 10), "centre": (8, 6)} if stack else {})}
    )
    measurement, _ = import_files(written.names, options)
    expected = FRAMES[1:9:2, 4:12, 1:11]
    seen = np.broadcast_to(measurement.measured, expected.shape)
    np.testing.assert_array_equal(measurement.intensity[seen], expected[seen])
    assert seen.any()


@pytest.mark.parametrize("name", ["dectris_master_with_linked_blocks", "cbf_series", "raster_of_patterns"])
def test_what_would_be_read_is_explained(tmp_path, name):
    written = writers.WRITERS[name](tmp_path, FRAMES)
    rows = explain_files(
        written.names, ImportOptions(**{"stack": "shots", **written.options, "crop": (8,), "bin": (2,)})
    )
    assert all(len(row) == 4 for row in rows) and rows[0][0] == "read"
    shapes = {row[0]: row[3] for row in rows}
    assert (shapes["bin"], shapes["crop"]) == ("(12, 10, 12)", "(12, 8, 8)")
