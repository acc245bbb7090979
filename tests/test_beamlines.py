"""Beamlines as data: those inside are complete, own files are checked key by key, names lead to records."""

from __future__ import annotations

import json

import numpy as np
import pytest
import yaml

from cdipipe.beamlines.record import Beamline
from cdipipe.beamlines.registry import BEAMLINES, get_beamline
from cdipipe.cli.main import run
from cdipipe.errors import InputError

NAMES = ["aps_34idc", "diamond_i16", "esrf_id01", "maxiv_nanomax", "petra_p10", "soleil_cristal", "soleil_sixs"]
OWN = {
    "name": "own",
    "summary": "a diffractometer of ours",
    "sample": [
        {"name": "theta", "axis": "y+", "motors": ["th"], "zero_deg": 1.5},
        {"name": "kappa", "axis": [0, 0.6, 0.8]},
    ],
    "arm": [{"name": "tth", "axis": "y+"}],
    "rocking": ["theta"],
    "energy": {"motors": ["en"], "unit": "keV"},
    "detectors": {"eiger": {"pixel_m": [75e-6, 75e-6], "aliases": ["E4M"]}},
    "default_detector": "eiger",
    "scan_file": {"kind": "spec"},
    "references": ["the logbook"],
}


@pytest.fixture
def own_file(tmp_path):
    def write(**changes) -> str:
        path = tmp_path / "own.yaml"
        path.write_text(yaml.safe_dump({**OWN, **changes}))
        return str(path)

    return write


def test_the_beamlines_inside():
    assert sorted(BEAMLINES.all()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_beamline_can_be_rocked_and_says_where_its_facts_are_from(name):
    beamline = get_beamline(name)
    assert beamline.rocking and beamline.references and beamline.energy and beamline.distance
    for entry in (*beamline.sample, *beamline.arm):
        assert np.linalg.norm(entry.axis) == pytest.approx(1)
    for detector in beamline.detectors.values():
        assert abs(np.dot(detector.rows, detector.columns)) < 1e-12 and 1e-6 < detector.pixel_m[0] < 1e-3


@pytest.mark.parametrize(
    ("name", "sample", "arm"),
    [
        ("aps_34idc", "y+ z- y+", "y+ x-"),  # cohere-ui, in the same frame
        ("esrf_id01", "y- x- y-", "y- x-"),  # bcdi and cohere-ui
        ("petra_p10", "y+ x- z+ y-", "y+ x-"),  # bcdi and cohere-ui
        ("diamond_i16", "y+ x- z+ x-", "y+ x-"),  # You's six circles: (z y x) of that frame is (x z y) of this
        ("soleil_sixs", "x- y+", "x- y+ x-"),  # bcdi
        ("soleil_cristal", "x- y+", "y+ x-"),  # bcdi
        ("maxiv_nanomax", "x- y-", "y- x-"),  # bcdi
    ],
)
def test_the_circles_are_those_that_peers_use(name, sample, arm):
    from cdipipe.cli.beamlines import _signed

    beamline = get_beamline(name)
    assert " ".join(_signed(entry.axis) for entry in beamline.sample) == sample
    assert " ".join(_signed(entry.axis) for entry in beamline.arm) == arm


def test_an_own_beamline_is_a_file(own_file):
    beamline = get_beamline(own_file())
    assert beamline.sample[1].axis == (0, 0.6, 0.8)
    assert beamline.sample[0].angle_deg(2.0) == 0.5
    assert beamline.detectors["eiger"].rows == (0, -1, 0)
    assert beamline.detector_called("e4m:") == "eiger" and beamline.detector_called("other") is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sampel": []}, "sampel.*did you mean 'sample'"),
        ({"sample": [{"name": "a", "axis": "w+"}]}, r"sample\[0\]\.axis.*expected one of x\+, x-"),
        ({"sample": [{"name": "a", "axis": [0, 0, 2]}]}, "vector of length 1; this one has 2"),
        ({"arm": [{"name": "theta", "axis": "y+"}]}, "two circles are called 'theta'"),
        ({"rocking": ["omega"]}, "no circle of the sample is called 'omega'"),
        ({"default_detector": "pilatus"}, "no detector is called 'pilatus'"),
        ({"detectors": {"eiger": {"pixel_m": [75, 75]}}}, r"detectors\.eiger\.pixel_m"),
        ({"scan_file": {"kind": "hdf5"}}, "'hdf5' needs 'entries' and 'positions'"),
        ({"references": []}, "references"),
    ],
)
def test_a_beamline_that_cannot_be_is_refused_with_its_key(own_file, changes, words):
    with pytest.raises(InputError, match=words):
        get_beamline(own_file(**changes))


def test_an_unknown_name_is_corrected():
    with pytest.raises(InputError, match="did you mean 'aps_34idc'"):
        get_beamline("aps34idc")


def test_a_plug_in_brings_a_beamline(monkeypatch):
    class Entry:
        name, value, dist = "own", "somewhere:OWN", None

        @staticmethod
        def load():
            return Beamline.model_validate(OWN)

    monkeypatch.setattr("cdipipe.plugins.entries_of", lambda group: [Entry()] if group == "cdipipe.beamlines" else [])
    BEAMLINES.look_again()
    try:
        assert get_beamline("own").summary == "a diffractometer of ours"
    finally:
        monkeypatch.undo()
        BEAMLINES.look_again()


def test_the_command_lists_them_and_shows_one(capsys, own_file):
    assert run(["beamlines"]) == 0
    table = capsys.readouterr().out
    assert all(name in table for name in NAMES) and "theta:y+ chi:z- phi:y+" in table
    assert run(["beamlines", "petra_p10"]) == 0
    assert "fmbenergy" in capsys.readouterr().out
    assert run(["beamlines", own_file(), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "own"
    assert run(["beamlines", "nowhere"]) == 2
