"""Figures: what they show of known inputs, and the commands that draw and export."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from cdipipe import figures
from cdipipe.figures import canvas, objects, tables
from cdipipe.figures.training import activation_figure, training_figure
from cdipipe.io.cxi import write_measurement, write_reconstruction, write_truth
from cdipipe.measurement import Geometry, Measurement, Reconstruction, Truth

GEOMETRY = Geometry(energy_ev=8000.0, distance_m=1.0, pixel_y_m=50e-6)


def make_object(shape=(32, 32)) -> tuple[np.ndarray, np.ndarray]:
    """A box off the centre with a phase ramp along the last axis, and its support."""
    support = np.zeros(shape, bool)
    support[(slice(10, 20),) * (len(shape) - 1) + (slice(12, 24),)] = True
    phase = np.linspace(-1.2, 1.2, shape[-1])
    return (support * 3.0 * np.exp(1j * phase)).astype(np.complex64), support


def make_records(shape=(32, 32), geometry=GEOMETRY, **changes):
    values, support = make_object(shape)
    axes = tuple(range(len(shape)))
    stack = "single" if len(shape) == 2 else "volume"
    intensity = np.abs(np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(values), norm="ortho"), axes)) ** 2
    measured = np.ones(shape, bool)
    measured[tuple(slice(n // 2 - 1, n // 2 + 2) for n in shape)] = False
    rng = np.random.default_rng(1)
    scores = {"r_factor": np.array([0.1, 0.2, 0.4]), "poisson_nll": np.array([1.0, 2.0, 5.0]), "seed": np.arange(3.0)}
    result = Reconstruction(
        object=values * np.complex64(1j),
        support=support,
        stack=stack,
        method="hio",
        geometry=geometry,
        error_trace=rng.uniform(0.1, 1, (3, 40)).astype(np.float32),
        run_scores=scores,
    )
    measurement = Measurement(intensity.astype(np.float32), measured, stack, geometry)
    return measurement, dataclasses.replace(result, **changes), Truth(values, support, stack, geometry)


def images_of(figure) -> list[np.ma.MaskedArray]:
    return [np.ma.asarray(image.get_array()) for axes in figure.axes for image in axes.get_images()]


def titles_of(figure) -> list[str]:
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def test_unmeasured_pixels_are_hidden_and_zero_counts_are_not():
    measurement, _, _ = make_records()
    measurement.intensity[0, 0] = 0
    shown = images_of(figures.pattern_figure(measurement))[0]
    assert np.array_equal(np.ma.getmaskarray(shown), ~measurement.measured)
    assert shown[0, 0] > 0


def test_an_object_is_cropped_around_its_support_and_its_phase_hidden_outside():
    measurement, result, truth = make_records()
    figure = figures.object_figure(result, measurement, truth)
    pattern, amplitude, true_amplitude, phase, true_phase, support = images_of(figure)
    assert pattern.shape == (32, 32)
    assert amplitude.shape == phase.shape == support.shape == (16, 18)  # 10 x 12 px and 3 on each side
    assert np.array_equal(np.ma.getmaskarray(phase), ~support.astype(bool))
    np.testing.assert_allclose(amplitude, true_amplitude, atol=1e-4)
    np.testing.assert_allclose(phase.compressed(), true_phase.compressed(), atol=1e-3)
    assert abs(phase.mean()) < 0.05  # the global phase of the object, pi / 2, is taken away


def test_axes_are_in_nm_where_the_geometry_is_known():
    pixel = canvas.object_pixel(GEOMETRY, (32, 64))
    length_m = 1.2398419843320026e-06 / 8000 / 50e-6
    assert pixel.unit == "nm"
    np.testing.assert_allclose(pixel.steps, (length_m / 32 * 1e9, length_m / 64 * 1e9))
    assert canvas.object_pixel(Geometry(), (32, 64)) == canvas.Pixel((1.0, 1.0), "px")
    rocking = dataclasses.replace(GEOMETRY, rocking_step_rad=1e-4)
    assert canvas.object_pixel(rocking, (32, 32, 32)).unit == "px"
    assert canvas.object_pixel(GEOMETRY, (32, 32, 32)).unit == "nm"


def test_a_pixel_lies_where_its_index_says():
    figure = canvas.new_figure(1, 1)[0]
    artist = canvas.show_image(figure.axes[0], np.zeros((8, 6)), (2.0, 3.0), "nm", (4, 1))
    left, right, bottom, top = artist.get_extent()
    assert (left, right) == (-4.5, 13.5)  # columns -1 .. 4, 3 nm each
    assert (top, bottom) == (-9.0, 7.0)  # rows -4 .. 3, 2 nm each


def test_a_bright_structure_beside_a_faint_sample_does_not_hide_it():
    support = np.zeros((32, 32), bool)
    support[10:20, 8:22] = True
    truth = np.zeros((32, 32), np.complex64)
    truth[10:20, 8:14] = 2.0
    whole = truth.copy()
    whole[10:20, 18:22] = 3000.0
    shapes = np.linspace(1, 2, 60).reshape(10, 6)
    truth[10:20, 8:14] *= shapes
    whole[10:20, 8:14] *= shapes
    figure = objects.object_figure(Reconstruction(whole, support), truth=Truth(truth, support))
    drawn = {ax.get_title(): ax.images[0] for ax in figure.axes if ax.images}
    assert drawn["amplitude"].get_clim()[1] < 7 < 3000
    np.testing.assert_allclose(drawn["true amplitude"].get_array()[:, :10], drawn["amplitude"].get_array()[:, :10])
    figure = objects.comparison_figure([("lsq", Reconstruction(whole, support))], Truth(truth, support))
    true, found = (ax.images[0].get_array() for ax in figure.axes if ax.images)
    np.testing.assert_allclose(true[:, :10], found[:, :10], rtol=1e-5)


def test_real_objects_have_no_panel_of_phases():
    support = np.zeros((32, 32), bool)
    support[10:20, 8:22] = True
    real = Reconstruction((1j * support * 3.0).astype(np.complex64), support)  # the global phase says nothing
    truth = Truth(support.astype(np.complex64), support)
    assert titles_of(objects.object_figure(real, truth=truth)) == ["amplitude", "true amplitude", "support"]
    assert titles_of(objects.comparison_figure([("hio", real), ("er", real)], truth)) == ["truth", "hio", "er"]
    signed = Truth(np.where(np.arange(32) < 15, 1, -1) * truth.object, support)
    assert "true phase (rad)" in titles_of(objects.object_figure(real, truth=signed))


def test_weak_phases_get_a_narrow_range_and_strong_ones_the_full_circle():
    values, _ = make_object()
    assert objects.phase_limit(values) == pytest.approx(0.6)  # the support sees -0.27 to 0.58 rad
    assert objects.phase_limit(values**4) == np.pi
    assert objects.phase_limit(np.zeros((4, 4), complex)) == np.pi


def test_a_volume_shows_three_planes_through_its_support():
    measurement, result, truth = make_records((24, 32, 32))
    figure = figures.object_figure(result, measurement, truth)
    assert [title for title in titles_of(figure) if title.startswith("amplitude")] == [
        "amplitude, xy",
        "amplitude, xz",
        "amplitude, yz",
    ]
    shown = images_of(figure)
    assert len(shown) == 18
    assert all(image.count() > 0 for image in shown)
    assert len(images_of(figures.pattern_figure(measurement))) == 3


def test_methods_are_laid_over_the_truth():
    _, result, truth = make_records()
    moved = dataclasses.replace(result, object=np.roll(result.object, (3, -2), (0, 1)))
    figure = figures.comparison_figure([("hio", result), ("moved", moved)], truth)
    assert [title for title in titles_of(figure) if "phase" not in title] == ["truth", "hio", "moved"]
    shown = images_of(figure)
    assert len(shown) == 6
    for column in (1, 2):
        np.testing.assert_allclose(shown[column], shown[0], atol=1e-4)
        np.testing.assert_allclose(shown[3 + column].compressed(), shown[3].compressed(), atol=1e-3)


@pytest.mark.parametrize("shape", [(32, 32), (24, 32, 32)])
def test_found_and_true_object_share_their_scales_and_all_text_is_on_the_canvas(shape):
    measurement, result, truth = make_records(shape)
    result = dataclasses.replace(result, object=result.object * 0.8)
    both = figures.object_figure(result, measurement, truth), figures.comparison_figure([("hio", result)], truth)
    for figure in both:
        limits = {}
        for axes in figure.axes:
            for image in axes.get_images():
                limits.setdefault(image.get_cmap().name, set()).add(image.get_clim())
        assert len(limits["viridis"]) == len(limits["RdBu_r"]) == 1
    for figure in (*both, figures.diagnostics_figure(result), figures.pattern_figure(measurement)):
        figure.draw_without_rendering()
        for axes in figure.axes:
            (left, bottom), (right, top) = axes.get_tightbbox().get_points()
            inside = min(left, bottom) >= 0 and right <= figure.bbox.width and top <= figure.bbox.height
            assert inside, (axes.get_title(), left, bottom, right, top)


def test_diagnostics_show_what_is_known():
    _, result, _ = make_records()
    frequency = np.linspace(0, 0.5, 17)
    curves = {"prtf": np.linspace(1, 0, 17), "prtf_frequency": frequency, "prtf_threshold": np.array(0.37)}
    titles = titles_of(figures.diagnostics_figure(result, curves))
    assert titles == ["error of 3 restarts", "3 runs, numbered by rank", "resolution"]
    bare = dataclasses.replace(result, error_trace=None, run_scores={})
    assert titles_of(figures.diagnostics_figure(bare)) == []


def test_transfer_functions_of_the_shots_are_drawn_behind_their_mean():
    _, result, _ = make_records()
    frequency, mean = np.linspace(0, 0.5, 17), np.linspace(1, 0, 17)
    shots = np.stack([mean + 0.1, mean - 0.1, np.full(17, np.nan)])
    curves = {"prtf": mean, "prtf_frequency": frequency, "prtf_threshold": np.array(0.37), "prtf_smooth": mean}
    figure = figures.diagnostics_figure(result, curves | {"prtf_of_patterns": shots})
    axes = next(axes for axes in figure.axes if axes.get_title() == "resolution")
    lines = [line.get_ydata() for line in axes.lines]
    for index, curve in enumerate((*shots[:2], mean)):
        np.testing.assert_array_equal(lines[index], curve)
    assert [text.get_text() for text in axes.get_legend().get_texts()][:2] == ["2 shots", "PRTF, mean of shots"]


def test_a_pattern_with_read_noise_is_shown_above_its_activations():
    pattern = np.array([[-3.0, 0.0], [9.0, 99.0]])
    figure = activation_figure([("first", np.arange(8.0).reshape(2, 2, 2))], pattern, "network")
    shown = figure.axes[0].images[0].get_array()
    assert shown[:2, :2].tolist() == [[0.0, 0.0], [0.5, 1.0]]


def test_ranks_follow_the_good_end_of_a_metric():
    assert tables.ranks([3.0, 1.0, None, 2.0], "low") == [0.0, 1.0, None, 0.5]
    assert tables.ranks([3.0, 1.0, 3.0], "high") == [1.0, 0.0, 1.0]
    assert tables.ranks([2.0, None], "low") == [0.5, None]


def test_the_table_has_a_row_per_reconstruction_and_only_known_columns():
    figure = figures.metrics_figure([("a/hio", {"r_factor": 0.1234, "device": "cpu"}), ("a/er", {"chi2": 2.0})])
    cells = {place: cell.get_text().get_text() for place, cell in figure.axes[0].tables[0].get_celld().items()}
    assert cells[(0, 0)] == "R-factor" and cells[(0, 1)] == "chi²"
    assert cells[(1, 0)] == "0.123" and cells[(1, 1)] == "" and cells[(2, 1)] == "2"
    assert cells[(1, -1)] == "a/hio"


@pytest.fixture
def files(tmp_path):
    """Measurement, reconstruction, truth and metrics of one pattern on disk."""
    measurement, result, truth = make_records()
    write_measurement(tmp_path / "M.cxi", measurement)
    write_reconstruction(tmp_path / "R.cxi", result)
    write_truth(tmp_path / "T.cxi", truth)
    (tmp_path / "metrics.json").write_text(json.dumps({"r_factor": 0.1}))
    return tmp_path


@pytest.mark.parametrize("names", [["M.cxi"], ["R.cxi"], ["R.cxi", "R.cxi"], ["metrics.json"]], ids=" ".join)
def test_plot_draws_each_kind_of_file(cli, files, names, monkeypatch):
    monkeypatch.setattr("sys.argv", ["/somewhere/cdipipe", "plot", *names])
    out = files / "fig.png"
    assert cli("plot", *(files / name for name in names), "-o", out).code == 0
    with Image.open(out) as image:
        assert min(image.size) > 50
        assert image.info["Description"] == "cdipipe plot " + " ".join(names)


def test_plot_draws_pattern_truth_and_diagnostics(cli, files):
    beside = ["--measurement", files / "M.cxi", "--truth", files / "T.cxi", "--diagnostics", files / "d.svg"]
    assert cli("plot", files / "R.cxi", *beside, "-o", files / "o.pdf").code == 0
    assert (files / "d.svg").is_file() and (files / "o.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["R.cxi", "-o", "fig.jpeg"], "figures end in .png, .svg, .pdf; got '.jpeg'"),
        (["metrics.json", "R.cxi", "-o", "f.png"], "metrics.json"),
        (["absent.cxi", "-o", "f.png"], "absent.cxi"),
        (["R.cxi", "--curves", "metrics.json", "-o", "f.png"], "--curves: belongs to --diagnostics"),
        (["R.cxi", "--curves", "metrics.json", "--diagnostics", "d.png", "-o", "f.png"], "metrics.json: not a .npz"),
        (["R.cxi", "--truth", "R.cxi", "-o", "f.png"], "R.cxi"),
    ],
)
def test_plot_complains_in_one_line_and_writes_nothing(cli, files, monkeypatch, arguments, said):
    monkeypatch.chdir(files)
    before = sorted(files.iterdir())
    assert said in cli("plot", *arguments).complaint
    assert sorted(files.iterdir()) == before


def test_collect_makes_one_row_per_file(cli, tmp_path):
    for method, metrics in (("hio", {"r_factor": 0.1}), ("er", {"r_factor": 0.2, "ssim": 0.5})):
        (tmp_path / "a" / method).mkdir(parents=True)
        (tmp_path / "a" / method / "metrics.json").write_text(json.dumps(metrics))
    named = [tmp_path / "a" / method / "metrics.json" for method in ("hio", "er")]
    assert cli("collect", *named, "-o", tmp_path / "t.tsv").code == 0
    assert (tmp_path / "t.tsv").read_text() == "measurement\tmethod\tr_factor\tssim\na\thio\t0.1\t\na\ter\t0.2\t0.5\n"


def test_export_vti_keeps_axes_values_and_metres(cli, tmp_path):
    import pyvista

    _, result, _ = make_records((8, 24, 32))
    write_reconstruction(tmp_path / "R.cxi", result)
    assert cli("export", tmp_path / "R.cxi", "-o", tmp_path / "o.vti").code == 0
    grid = pyvista.read(tmp_path / "o.vti")
    assert grid.dimensions == (32, 24, 8)
    np.testing.assert_allclose(grid.spacing, GEOMETRY.object_pixels_m((32, 24, 8)), rtol=1e-6)
    centre = grid.find_closest_point((0, 0, 0))
    assert np.unravel_index(centre, (8, 24, 32)) == (4, 12, 16)
    amplitude = np.asarray(grid["amplitude"]).reshape(8, 24, 32)
    np.testing.assert_allclose(amplitude, np.abs(result.object), rtol=1e-6)
    assert grid.field_data["unit"][0] == "m"


def test_export_npz_and_tif_hold_the_same_fields(cli, files):
    import tifffile

    assert cli("export", files / "R.cxi", "-o", files / "o.npz").code == 0
    assert cli("export", files / "R.cxi", "-o", files / "o.tif").code == 0
    with np.load(files / "o.npz") as stored:
        fields = dict(stored)
    pages = tifffile.imread(files / "o.tif")
    for page, name in zip(pages, ("amplitude", "phase_rad", "support"), strict=True):
        np.testing.assert_array_equal(page, fields[name].astype(np.float32))
    assert "export writes .vti, .npz, .tif" in cli("export", files / "R.cxi", "-o", files / "o.stl").complaint


def test_a_movie_moves_and_only_a_movie(tmp_path, cli):
    from PIL import Image

    from cdipipe.io.cxi import write_reconstruction

    frames = np.zeros((4, 32, 32), np.complex64)
    for index, frame in enumerate(frames):
        frame[8:24, 8 + index : 20 + index] = 1j
    moving, still = (Reconstruction(o, o != 0, s) for o, s in ((frames, "movie"), (frames[0], "single")))
    for name, result in (("moving", moving), ("still", still)):
        write_reconstruction(tmp_path / f"{name}.cxi", result)
    assert cli("plot", tmp_path / "moving.cxi", "-o", tmp_path / "m.gif").code == 0
    with Image.open(tmp_path / "m.gif") as picture:
        assert picture.n_frames == 4 and picture.size == (440, 220)  # two of 21 columns and a gap, 22 rows, enlarged
        assert picture.info["comment"]
    assert "only a movie moves" in cli("plot", tmp_path / "still.cxi", "-o", tmp_path / "s.gif").complaint


def test_trainings_in_stages_are_compared_by_the_last_of_them():
    """Losses of earlier stages are parts of it, and smaller."""
    staged = {"stage": ["shape", "phase", "all", "all"], "samples": [8, 16, 24, 32], "train_loss": [4, 1, 6, 5]}
    staged = {name: np.array(values) for name, values in staged.items()} | {"validation_loss": np.array([4, 1, 7, 6.0])}
    plain = staged | {"stage": np.array(["all"] * 4)}
    right = training_figure([("staged", staged), ("plain", plain)]).axes[1]
    points = [tuple(map(float, line.get_xydata()[0])) for line in right.lines]
    assert points == [(32.0, 6.0), (16.0, 1.0)]


@pytest.mark.parametrize("width", [2.7, 4.0, 9.0])
@pytest.mark.parametrize("margins", [None, canvas.Margins(0.42, 0.5, 0.4, 0.25, head=0.5)])
def test_the_title_of_a_figure_stays_on_it(width, margins):
    figure, axes = canvas.new_figure(1, 1, width=width, margins=margins)
    axes[0, 0].plot([0, 1])
    title = figure.suptitle(
        "a title of many words, as studies give them: speed of the content in nanometres per second"
    )
    figure.draw_without_rendering()
    box, whole = title.get_window_extent(), figure.bbox
    assert box.x0 >= 0 and box.x1 <= whole.x1 and box.y1 <= whole.y1
