"""Formats of `cdipipe export`: declared once, used by the command and by studies, open to other packages."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

from cdipipe.errors import InputError
from cdipipe.io.cxi import write_reconstruction
from cdipipe.io.export import EXPORTS, OWN, Exporter, object_fields
from cdipipe.measurement import Reconstruction
from cdipipe.study.config import check_config

DOCS = Path(__file__).parents[2] / "docs"


def result() -> Reconstruction:
    """A square of modulus 2 whose phase rises by a radian from left to right, in 8 x 8."""
    inside = np.zeros((8, 8), bool)
    inside[2:6, 2:6] = True
    phase = np.linspace(0, 1, 4)[None, :]
    values = np.zeros((8, 8), np.complex64)
    values[2:6, 2:6] = 2 * np.exp(1j * (phase + 0.7))
    return Reconstruction(values, inside)


def write_total(path, reconstruction):
    Path(path).write_text(f"{np.abs(reconstruction.object).sum():.0f}\n")


TOTAL = Exporter("total", "the sum of all moduli", write_total)


@pytest.fixture
def plugin(monkeypatch):
    """Another package that brings the format ``total``."""
    entry = EntryPoint("total", f"{__name__}:TOTAL", "cdipipe.exports")
    monkeypatch.setattr("cdipipe.plugins.entries_of", lambda group: [entry] if group == entry.group else [])
    EXPORTS.look_again()
    yield
    monkeypatch.undo()
    EXPORTS.look_again()


def study(export):
    measurements = {"m": {"scene": "polygons", "export": export}}
    return check_config({"output": "x", "measurements": measurements, "methods": {"er": {"method": "er"}}}, "s")


def test_fields_are_modulus_phase_about_its_mean_and_support():
    fields = object_fields(result())
    np.testing.assert_allclose(fields["amplitude"][2:6, 2:6], 2, rtol=1e-6)
    np.testing.assert_allclose(fields["phase_rad"][3, 2:6], np.linspace(-0.5, 0.5, 4), atol=1e-6)
    assert fields["support"].sum() == 16 and not fields["phase_rad"][~result().support].any()


@pytest.mark.parametrize("scale", [1e20, 1e30, 2e38])
def test_phases_of_large_objects_are_numbers(scale):
    small = result()
    fields = object_fields(Reconstruction(small.object / 4 * np.complex64(scale), small.support))
    np.testing.assert_allclose(fields["phase_rad"], object_fields(small)["phase_rad"], atol=1e-6)
    assert np.isfinite(fields["amplitude"]).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38 + 3e38j])
def test_objects_that_no_format_holds_are_refused(value):
    spoilt = result()
    spoilt.object[3, 3] = value
    with pytest.raises(InputError, match="NaN or beyond"):
        object_fields(spoilt)


def test_the_command_a_study_and_the_guide_know_every_format(cli):
    for exporter in OWN:
        assert f".{exporter.name} {exporter.summary[:8]}" in " ".join(
            cli("export", "--help").out.replace("│", "").split()
        )
        assert study([exporter.name]).exports() == [exporter.name]
        assert f"object.{exporter.name}" in (DOCS / "formats.md").read_text()


def test_a_format_of_another_package_is_one_more(plugin, cli, tmp_path):
    write_reconstruction(tmp_path / "R.cxi", result())
    assert cli("export", tmp_path / "R.cxi", "-o", tmp_path / "o.total").code == 0
    assert (tmp_path / "o.total").read_text() == "32\n"
    assert study(["total", "npz"]).exports() == ["npz", "total"]


def test_an_unknown_format_is_refused(cli, tmp_path):
    write_reconstruction(tmp_path / "R.cxi", result())
    complaint = cli("export", tmp_path / "R.cxi", "-o", tmp_path / "o.stl").complaint
    assert "export writes .vti, .npz, .tif; got '.stl'" in complaint
    with pytest.raises(
        InputError, match=r"s: measurements\.m\.export: unknown export format 'vtk' \(did you mean 'vti'"
    ):
        study(["vtk"])
