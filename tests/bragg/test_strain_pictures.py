"""What is drawn and exported of a strained crystal."""

import numpy as np
import pytest

import cdipipe as cdi
from cdipipe.bragg.strain import Choices, analyse
from cdipipe.figures import strain as drawing
from cdipipe.measurement import Reconstruction


@pytest.fixture(scope="module")
def result():
    small = {"size": 40, "positions": 40, "voxels": 18, "photons": 0}
    measurement, truth = cdi.simulate("bragg", seed=1, with_truth=True, **small)
    own = Reconstruction(truth.object, truth.support, "volume", geometry=measurement.geometry)
    return analyse(own, Choices(hkl=(1, 1, 1), voxel_nm=12.0))


def test_slices_show_the_fields_in_nm_with_one_scale_a_row(result):
    figure = drawing.strain_figure(result)
    panels = [ax for ax in figure.axes if ax.images]
    assert len(panels) == 9
    for row in (panels[0:3], panels[3:6], panels[6:9]):
        assert len({ax.images[0].get_clim() for ax in row}) == 1
    xy, xz = panels[6].images[0], panels[7].images[0]
    grid = result.orthogonal
    z = round(np.nonzero(grid.inside)[2].mean())
    np.testing.assert_allclose(
        np.ma.filled(xy.get_array(), np.nan), np.where(grid.inside, grid.strain, np.nan)[:, :, z].T * 1e4
    )
    assert panels[7].get_ylabel() == "z (nm)" and panels[6].get_xlabel() == "x (nm)"
    width = xz.get_extent()[1] - xz.get_extent()[0]
    assert width == pytest.approx(12.0 * grid.inside.shape[0])
    low, high = xy.get_clim()
    assert low == -high and high > 0


def test_profiles_run_through_the_middle(result):
    for axis, (places, values) in enumerate(drawing.profiles(result, "strain")):
        assert places.size == values.size == result.orthogonal.inside.shape[axis]
        assert np.isfinite(values).sum() * 12 > 0.6 * result.numbers["diameter_nm"]


def test_details_name_the_facets(result):
    figure = drawing.strain_details_figure(result)
    texts = {text.get_text() for ax in figure.axes for text in ax.texts}
    assert "111" in texts and any("\u0305" in text for text in texts)
    bulk, surface = (text.get_text() for text in figure.axes[0].get_legend().get_texts())
    for text, place in ((bulk, "bulk"), (surface, "surface")):
        assert text.endswith(f"rms {result.numbers[f'rms_strain_{place}'] * 1e4:.2g}")


def test_files_of_other_programs(result, tmp_path, cli):
    from cdipipe.bragg.files import write_strain

    write_strain(tmp_path / "S.cxi", result)
    for kind in ("npz", "tif", "vti", "vtu"):
        assert cli("export", tmp_path / "S.cxi", "-o", tmp_path / f"S.{kind}").code == 0
    import pyvista
    import tifffile

    arrays = np.load(tmp_path / "S.npz")
    image = pyvista.read(tmp_path / "S.vti")
    assert image.spacing == (12.0, 12.0, 12.0) and image.dimensions == arrays["strain"].shape
    assert np.allclose(image.origin, arrays["origin_nm"])
    np.testing.assert_array_equal(
        image.point_data["strain"].reshape(arrays["strain"].shape, order="F"), arrays["strain"]
    )
    surface = pyvista.read(tmp_path / "S.vtu")
    lengths = np.ptp(surface.points, axis=0)
    assert (lengths > 0.7 * result.numbers["diameter_nm"]).all()
    assert tifffile.imread(tmp_path / "S.tif").shape == (arrays["strain"].shape[2], 5, *arrays["strain"].shape[1::-1])
    assert "strain is exported as" in cli("export", tmp_path / "S.cxi", "-o", tmp_path / "S.png").complaint


def test_the_command_draws_slices_details_and_a_movie(result, tmp_path, cli):
    from cdipipe.bragg.files import write_strain

    write_strain(tmp_path / "S.cxi", result)
    drawn = cli("plot", tmp_path / "S.cxi", "-o", tmp_path / "s.png", "--diagnostics", tmp_path / "d.png")
    assert drawn.code == 0, drawn.err
    assert cli("plot", tmp_path / "S.cxi", "-o", tmp_path / "s.webp").code == 0
    assert all((tmp_path / name).stat().st_size > 5000 for name in ("s.png", "d.png", "s.webp"))


def test_the_surface_is_rendered(result):
    figure = drawing.surface_figure(result, window=160)
    pictures = [ax.images[0].get_array() for ax in figure.axes if ax.images]
    assert len(pictures) >= 9
    for picture in pictures[:9]:
        covered = (np.asarray(picture) < 250).any(-1).mean()
        assert 0.1 < covered < 0.9
