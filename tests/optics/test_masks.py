import numpy as np
import pytest

from cdipipe.errors import InputError
from cdipipe.optics import masks
from cdipipe.simulation.detection import draw_measured
from cdipipe.simulation.detector_parameters import MaskParameters


def draw(shape=(64, 64), seed=0, **settings):
    return draw_measured(shape, MaskParameters(**settings), np.random.default_rng(seed))


def test_a_disc_has_its_area_and_place():
    hidden = masks.disc((128, 129), 20)
    assert hidden.sum() == pytest.approx(np.pi * 400, rel=0.02)
    assert [round(index.mean()) for index in np.nonzero(hidden)] == [64, 64]
    rows, columns = np.nonzero(masks.disc((128, 128), 10, (5, -30)))
    assert (rows.mean(), columns.mean()) == pytest.approx((69, 34))


def test_rectangles_cover_minus_r_to_r_minus_1():
    hidden = masks.rectangle((32, 32), (16, 4))
    assert hidden[8:24, 14:18].all()
    assert hidden.sum() == 64
    assert (~draw((32, 32), central_square_px=16)).sum() == 256
    assert masks.rectangle((8, 8), (4, 4), (5, 0)).sum() == 4


def test_random_rectangles_stay_in_dpr_s_ranges_and_reach_their_ends():
    found = []
    for seed in range(600):
        rows, columns = np.nonzero(~draw((128, 128), seed, random_rectangle=True))
        found += [(np.ptp(index) + 1, index.min() + (np.ptp(index) + 1) // 2 - 64) for index in (rows, columns)]
    sides, offsets = np.array(found).T
    assert (sides % 2 == 0).all()
    assert (sides.min() // 2, sides.max() // 2) == (8, 31)
    assert (offsets.min(), offsets.max()) == (-8, 7)


def test_gaps_repeat_and_one_of_each_goes_through_the_centre():
    hidden = masks.gaps((64, 80), (20, 32), (4, 3))
    rows, columns = hidden.all(1), hidden.all(0)
    assert rows[30:34].all() and columns[39:42].all()
    assert np.flatnonzero(rows).tolist() == [6, 7, 8, 9, 30, 31, 32, 33, 54, 55, 56, 57]
    assert np.array_equal(hidden, rows[:, None] | columns)
    assert not masks.gaps((64, 64), (16, 16), (0, 0)).any()


def test_dead_pixels_have_their_share():
    assert masks.dead_pixels((512, 512), 0.02, np.random.default_rng(0)).mean() == pytest.approx(0.02, rel=0.1)


@pytest.mark.parametrize("shape", [(64, 64), (512, 512), (100, 160)])
def test_strokes_are_thick_curved_and_of_the_generator(shape):
    drawn = [masks.strokes(shape, np.random.default_rng(seed)) for seed in range(60)]
    shares = [hidden.mean() for hidden in drawn]
    assert 0.1 < np.mean(shares) < 0.4
    assert min(shares) < 0.08
    assert max(shares) > 0.4
    again = masks.strokes(shape, np.random.default_rng(7))
    np.testing.assert_array_equal(again, drawn[7])
    assert (drawn[7] != drawn[8]).any()


def test_masks_that_hide_more_than_the_limit_are_dropped():
    shares = [1 - draw((128, 128), seed, irregular="strokes", irregular_limit=0.2).mean() for seed in range(60)]
    assert max(shares) <= 0.2
    assert shares.count(0.0) > 10
    beam = [draw((128, 128), seed, irregular="strokes", irregular_limit=0.01, beamstop_px=5) for seed in range(20)]
    assert all((~m).sum() >= 69 for m in beam)
    assert sum((~m).sum() == 69 for m in beam) > 15


def test_a_placed_mask_covers_the_detector_and_turns_about_its_centre():
    rng = np.random.default_rng(0)
    holes = rng.random((32, 32)) > 0.7
    straight = masks.place_irregular(holes, (64, 64), (0, 0), 0, rng)
    np.testing.assert_array_equal(straight, np.kron(holes, np.ones((2, 2), bool)))
    centre = np.zeros((64, 64), bool)
    centre[24:40, 24:40] = True
    turned = [masks.place_irregular(centre, (64, 64), (0, 0), 90, np.random.default_rng(s)) for s in range(20)]
    for hidden in turned:
        assert hidden.sum() == pytest.approx(256, abs=24)
        assert [index.mean() for index in np.nonzero(hidden)] == pytest.approx([31.5, 31.5], abs=0.6)
    assert len({hidden.tobytes() for hidden in turned}) > 15
    full = np.ones((64, 64), bool)
    corners = masks.place_irregular(full, (64, 64), (0, 0), 60, np.random.default_rng(1))
    assert not corners[0, 0] and corners[32, 32]
    wide = masks.place_irregular(full, (64, 128), (0, 0), 0, rng)
    assert wide.all()


def test_grown_holes_contain_the_old_ones():
    holes = np.zeros((512, 512), bool)
    holes[100, 100] = True
    grown = masks.place_irregular(holes, (512, 512), (9, 9), 0, np.random.default_rng(0))
    assert grown[96:105, 96:105].all()
    assert grown.sum() == 81


def test_a_mask_that_hides_everything_is_refused():
    from cdipipe.settings import validate
    from cdipipe.simulation.exposure import simulate
    from cdipipe.simulation.registry import get_scene

    polygons = get_scene("polygons")
    settings = {"size": 32, "detector": {"mask": {"central_square_px": 32}}}
    with pytest.raises(InputError, match="hides every pixel"):
        simulate(polygons, validate(polygons.parameters, settings, "polygons"))
