"""Studies make error bars and resolutions where the configuration tells that a measurement is one object, or asks."""

import pytest

from cdipipe.study.code import records_of_job
from cdipipe.study.config import check_config
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


def test_the_resolution_without_a_truth_is_made_where_it_is_asked_for():
    study = check_config(
        {
            "output": "out",
            "measurements": {"a": {"scene": "polygons", "resolution": True}, "b": {"scene": "polygons"}},
            "methods": {"er": {"method": "er"}},
        },
        "study",
    )
    assert study.with_resolution() == [("a", "er")]
    assert records_of_job(study, "resolution", measurement="a", method="er")["cdipipe.methods"] == ["er"]
