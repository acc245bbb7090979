"""``curves`` of a study: profiles, densities of particles and background, PRTF over draws of the noise."""

from __future__ import annotations

import numpy as np
import pytest

import cdipipe as cdi
from cdipipe.errors import InputError
from cdipipe.io.cxi import write_measurement, write_reconstruction, write_truth
from cdipipe.measurement import Measurement, Reconstruction, Truth
from cdipipe.study.config import check_config
from cdipipe.study.curves import fill_curves
from cdipipe.study.draw_curves import curves_figure
from cdipipe.study.drawing import draw

SIZE = 32


def study(curves: dict, measurements=("a",)):
    """A study of movies with one figure, by two methods."""
    entry = {"scene": "particles", "set": {"size": 64, "frames": 2, "illumination": "probe"}}
    return check_config(
        {
            "output": "out",
            "measurements": dict.fromkeys(measurements, entry),
            "methods": {"good": {"method": "mf_pie"}, "poor": {"method": "cdip"}},
            "curves": {"c": curves},
        },
        "s",
    )


def write_movie(folder, name: str, objects: dict, truth: np.ndarray, counts: np.ndarray | None = None):
    """A measurement of two frames behind a known probe, with results of each method."""
    light = np.exp(-(((np.indices((SIZE, SIZE)) - SIZE // 2) / 9.0) ** 2).sum(0) / 2).astype(np.complex64)
    waves = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(light * truth, (-2, -1)), norm="ortho"), (-2, -1))
    counts = 1e4 * np.abs(waves) ** 2 if counts is None else counts
    measured = np.ones((SIZE, SIZE), bool)
    movie = Measurement(counts.astype(np.float32), measured, "movie", probe_modes=light[None])
    place = folder / "out" / name
    place.mkdir(parents=True)
    write_measurement(place / "M.cxi", movie)
    support = np.ones(truth.shape, bool)
    write_truth(place / "T.cxi", Truth(truth.astype(np.complex64), support, "movie"))
    record = cdi.reconstruct(movie, {"method": "mf_pie", "iterations": 1}).forward
    for method, found in objects.items():
        (place / method).mkdir()
        result = Reconstruction(found.astype(np.complex64), support, "movie", forward=record)
        write_reconstruction(place / method / "R.cxi", result)


def discs() -> np.ndarray:
    """(2, 32, 32) transmissions: a disc of phase -0.8 in the middle, and one four pixels to the right."""
    row, column = np.indices((SIZE, SIZE)) - SIZE // 2
    return np.stack([np.exp(-0.8j * (np.hypot(row, column - shift) < 6)) for shift in (0, 4)])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_line_through_a_disc_shows_its_phase_and_where_it_ends(folder):
    truth = discs()
    blurred = (truth + np.roll(truth, 3, -1) + np.roll(truth, -3, -1)) / 3
    write_movie(folder, "a", {"good": truth * np.exp(0.4j), "poor": blurred}, truth)
    entry = {"show": "profile", "rows": {"disc": "a"}, "sample": 1, "phase": True, "line_px": [[0, -6], [0, 14]]}
    curves = {curve.name: curve for curve in fill_curves(study(entry), "c").curves}
    inside = np.abs(curves["truth"].x - 6 - 4) < 5
    outside = np.abs(curves["truth"].x - 6 - 4) > 7
    for name in ("truth", "good"):  # a global phase is nothing that was measured, nor is a factor
        assert np.allclose(curves[name].y[inside], -0.8, atol=0.05) and np.allclose(
            curves[name].y[outside], 0, atol=0.05
        )
    assert np.abs(curves["poor"].y - curves["truth"].y).max() > 0.2


def test_an_arc_meets_the_spokes_it_crosses(folder):
    row, column = np.indices((SIZE, SIZE)) - SIZE // 2
    angle = np.arctan2(row - 2, column + 1)
    star = np.stack([1 - 0.5 * (np.cos(6 * angle) > 0)] * 2)
    write_movie(folder, "a", {"good": star, "poor": star}, star)
    shape = {"arcs_px": [7, 10], "centre_px": [2, -1], "degrees": [0, 360]}
    found = fill_curves(study({"show": "profile", "rows": ["a"]} | shape), "c")
    assert found.panels == ["a, arc of 7 px", "a, arc of 10 px"] and found.y_label == "amplitude"
    for curve in found.curves:
        expected = np.where(np.cos(6 * np.deg2rad(curve.x)) > 0, 0.5, 1)
        assert np.mean(np.abs(curve.y - expected) < 0.2) > 0.8
    figure = curves_figure(found)
    figure.canvas.draw()
    assert [line.get_color() for line in figure.axes[0].lines] == ["black", "#0072B2", "#D55E00"]


def test_an_arc_that_leaves_the_array_is_refused(folder):
    write_movie(folder, "a", {"good": discs(), "poor": discs()}, discs())
    with pytest.raises(InputError, match="leaves the array of 32 x 32"):
        fill_curves(study({"show": "profile", "rows": ["a"], "arcs_px": [17]}), "c")


def test_densities_lie_at_the_phases_of_disc_and_background(folder):
    noise = np.random.default_rng(0).normal(0, 0.25, (2, SIZE, SIZE))
    write_movie(folder, "a", {"good": discs(), "poor": discs() * np.exp(1j * noise)}, discs())
    figure, text = draw(study({"show": "densities", "rows": ["a"], "methods": ["poor"]}), "c", "s")
    found = fill_curves(study({"show": "densities", "rows": ["a"]}), "c")
    curves = {(curve.name, curve.dashed): curve for curve in found.curves}
    for name in ("truth", "good", "poor"):
        particles, background = curves[name, False], curves[name, True]
        centres = [float((one.x * one.y).sum() / one.y.sum()) for one in (particles, background)]
        assert centres[1] - centres[0] == pytest.approx(0.8, abs=0.15)
        step = particles.x[1] - particles.x[0]
        assert particles.y.sum() * step == pytest.approx(1) and background.y.sum() * step == pytest.approx(1)
    distance = {name: float(curves[name, False].note.split()[1]) for name in ("good", "poor")}
    assert 2 < distance["poor"] < 5 < distance["good"]
    assert "poor (background)" in text and "good" not in text and figure.axes[0].lines[1].get_linestyle() == "--"


def test_the_prtf_falls_where_the_draws_disagree(folder):
    names, rng = [f"a{draw}" for draw in range(8)], np.random.default_rng(1)
    truth = np.exp(1j * rng.normal(0, 0.5, (2, SIZE, SIZE)))
    frequencies = np.fft.fftfreq(SIZE)
    high = np.hypot(frequencies[:, None], frequencies) > 0.25
    for name in names:
        turned = np.exp(2j * np.pi * rng.random(truth.shape) * high)
        write_movie(folder, name, {"good": truth, "poor": np.fft.ifft2(np.fft.fft2(truth) * turned)}, truth)
    found = fill_curves(study({"show": "prtf", "rows": {"disc": ["a*"]}}, names), "c")
    good, poor = found.curves
    assert found.panels == ["disc, 8 draws"] and found.level == pytest.approx(1 / np.e)
    assert np.nanmin(good.y) > 0.97 and np.nanmin(poor.y[poor.x < 0.2]) > 0.9
    assert np.nanmax(poor.y[poor.x > 0.35]) < 0.5 and float(poor.note.split()[0]) > float(good.note.split()[0])
    few = study({"show": "prtf", "rows": {"disc": names[:2]}}, names[:2])
    assert not any(curve.note for curve in fill_curves(few, "c").curves)  # random phases lie above 1/e


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ({"show": "profile"}, "either arcs_px or line_px"),
        ({"show": "profile", "arcs_px": [3], "line_px": [[0, 0], [1, 1]]}, "either arcs_px or line_px"),
        ({"show": "profile", "line_px": [[1, 1], [1, 1]]}, "both ends are the same"),
        ({"show": "profile", "arcs_px": [3], "degrees": [90, 0]}, "larger number last"),
        ({"show": "densities", "arcs_px": [3]}, "arcs_px: for a profile, not for densities"),
        ({"show": "densities", "rows": {"x": ["a", "b"]}}, "only prtf takes several"),
        ({"show": "profile", "arcs_px": [3], "rows": {"x": "c"}}, "unknown measurement 'c'"),
    ],
)
def test_slips_are_named(entry, complaint):
    with pytest.raises(InputError, match=complaint):
        study({"rows": {"x": "a"}} | entry, ("a", "b"))


def test_what_is_no_movie_in_a_probe_has_no_particles(folder):
    place = folder / "out" / "a"
    place.mkdir(parents=True)
    write_measurement(place / "M.cxi", Measurement(np.ones((8, 8), np.float32), np.ones((8, 8), bool)))
    with pytest.raises(InputError, match="'a' is no movie in a known probe"):
        fill_curves(study({"show": "densities", "rows": ["a"]}), "c")
