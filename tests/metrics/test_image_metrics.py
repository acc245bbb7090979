from types import SimpleNamespace

import numpy as np
import pytest

from cdipipe.metrics.image import box_around, pcc, phase_rmse_rad, psnr_db, ssim_global
from cdipipe.metrics.registry import get_metric

NAMES = ("complex_correlation", "psnr_db", "ssim", "pcc", "phase_rmse_rad", "psnr_box_db", "ssim_box")


def image_metrics(truth, support, image):
    """What the metrics of objects say of one that is aligned already."""
    case = SimpleNamespace(truth=truth, support=support, aligned=image)
    found = {name: get_metric(name).judge(case) for name in NAMES}
    return {name: value for name, value in found.items() if value is not None}


def random_object(seed=0, shape=(24, 24)):
    rng = np.random.default_rng(seed)
    return rng.uniform(0.5, 2, shape) * np.exp(1j * rng.uniform(-1, 1, shape))


def test_psnr_by_hand():
    assert psnr_db(np.array([0.0, 10.0]), np.array([1.0, 9.0])) == pytest.approx(20)
    assert psnr_db(np.array([0.0, 10.0]), np.array([1.0, 9.0]), peak=100) == pytest.approx(40)
    assert psnr_db(np.ones(3), np.ones(3)) is None


def test_ssim_of_an_image_with_itself_is_one_and_by_hand():
    x = np.random.default_rng(0).random((9, 9))
    assert ssim_global(x, x) == pytest.approx(1)
    c1, c2 = 4e-4, 3.6e-3  # peak 2
    assert ssim_global(np.array([0.0, 2.0]), np.array([2.0, 0.0])) == pytest.approx(
        (2 + c1) * (c2 - 2) / (2 + c1) / (2 + c2)
    )


def test_pcc_ignores_scale_and_offset_and_is_absent_for_a_constant():
    x = np.random.default_rng(0).random(50)
    assert pcc(x, 3 * x + 2) == pytest.approx(1)
    assert pcc(x, -x) == pytest.approx(-1)
    assert pcc(x, np.random.default_rng(1).random(50)) == pytest.approx(
        np.corrcoef(x, np.random.default_rng(1).random(50))[0, 1]
    )
    assert pcc(x, np.full(50, 0.3)) is None


def test_phase_rmse_is_weighted_and_wrapped():
    truth = np.array([2.0, 1.0, 0.0])
    image = truth * np.exp(1j * np.array([0.1, 2 * np.pi - 0.3, 2]))
    assert phase_rmse_rad(truth, image) == pytest.approx(np.sqrt((4 * 0.01 + 0.09) / 5))
    assert phase_rmse_rad(np.zeros(3), image) is None


def test_equal_objects():
    u = random_object()
    found = image_metrics(u, np.ones(u.shape, bool), u)
    assert "psnr_db" not in found  # infinite
    assert found["complex_correlation"] == pytest.approx(1)
    assert found["ssim"] == pytest.approx(1)
    assert found["phase_rmse_rad"] == pytest.approx(0, abs=1e-9)


def test_only_the_correlation_sees_beyond_the_support():
    u, support = random_object(), np.zeros((24, 24), bool)
    support[6:18, 6:18] = True
    u = np.where(support, u, 0)
    image = u * 1.1 + 0.05 * random_object(1)
    halo = np.where(support, image, 3.0)
    inside, outside = (image_metrics(u, support, x) for x in (image, halo))
    assert outside["complex_correlation"] < inside["complex_correlation"]
    assert outside["psnr_box_db"] < inside["psnr_box_db"] and outside["ssim_box"] < inside["ssim_box"]
    wide = {"complex_correlation", "psnr_box_db", "ssim_box"}
    assert {k: v for k, v in inside.items() if k not in wide} == {k: v for k, v in outside.items() if k not in wide}


def test_the_box_is_twice_that_of_the_support():
    support = np.zeros((40, 30), bool)
    support[10:20, 4] = support[12, 3:7] = True
    rows, columns = box_around(support)
    assert (rows.start, rows.stop) == (5, 25) and (columns.start, columns.stop) == (1, 9)
    truth = support.astype(complex)
    image = truth.copy()
    image[5, 1] = 1
    assert image_metrics(truth, support, image)["psnr_box_db"] == pytest.approx(10 * np.log10(20 * 8))
    image[4, 1] = 1  # beyond
    assert image_metrics(truth, support, image)["psnr_box_db"] == pytest.approx(10 * np.log10(20 * 8))


def test_an_empty_truth_gives_nothing():
    assert image_metrics(np.zeros((4, 4), complex), np.zeros((4, 4), bool), np.ones((4, 4), complex)) == {}
