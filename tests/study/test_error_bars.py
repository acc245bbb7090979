"""Studies make error bars where the configuration tells that a measurement is one object."""

import pytest

from cdipipe.study.entries import MeasurementEntry


@pytest.mark.parametrize(
    ("entry", "wanted"),
    [
        ({"scene": "polygons"}, True),
        ({"scene": "polygons", "set": {"count": 3}}, False),
        ({"scene": "particles"}, False),
        ({"scene": "polygons", "uncertainty": False}, False),
        ({"import": {"files": ["x.npy"]}}, False),
        ({"import": {"files": ["x.npy"], "stack": "volume"}}, True),
        ({"import": {"files": ["x.npy"]}, "uncertainty": True}, True),
    ],
)
def test_error_bars_are_made_of_single_objects(entry, wanted):
    assert MeasurementEntry(**entry).has_error_bars is wanted
