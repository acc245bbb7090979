"""Choosing by itself: which way a measurement goes, what the race may see, and what the record tells."""

from dataclasses import replace

import numpy as np
import pytest
import small_runs
from objects import correlation

import cdipipe as cdi
from cdipipe.errors import InputError
from cdipipe.methods.auto.look import look_at
from cdipipe.methods.auto.routes import route_for
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.registry import all_methods

QUICK = {"candidates": ["raar", "gps"], "starts": 2}


@pytest.fixture(scope="module")
def masked():
    """A weak object behind a beam stop, and its truth."""
    detector = {"mask": {"central_square_px": 4, "dead_share": 0.1}}
    settings = {"size": 64, "phase_range_rad": 1.0, "photons": 1e4, "detector": detector}
    return cdi.simulate("polygons", seed=11, with_truth=True, **settings)


def sure(kind):
    return list(route_for(look_at(small_runs.measurement(kind))).sure)


def test_what_leaves_one_method_is_taken_without_a_race():
    assert sure("static")[0] == "reference_lsq"
    assert sure("open static")[0].startswith("static_estimate")
    assert sure("probe movie")[0] == "mf_pie"
    assert not sure("plain") and not sure("volume")
    found = cdi.reconstruct(small_runs.measurement("static"), "auto", seed=1)
    direct = cdi.reconstruct(small_runs.measurement("static"), "reference_lsq", seed=1)
    assert np.array_equal(found.object, direct.object)
    assert found.method == "auto" and "without a race" in found.choice["because"]


def test_large_bright_movies_in_a_probe_go_to_the_neural_field():
    look = look_at(small_runs.measurement("probe movie"))
    assert look.pixels == 32 * 32
    bright = replace(look, pixels=128**2, photons=1e6)
    assert next(iter(route_for(bright).sure)) == "cdip"
    assert next(iter(route_for(replace(bright, photons=1e5)).sure)) == "mf_pie"


def test_large_compact_volumes_go_to_the_unrolled_network_first():
    look = look_at(small_runs.measurement("volume"))
    assert not look.compact and look.is_volume  # points over the whole grid
    large = replace(look, pixels=64**3)
    assert not route_for(large).first and not route_for(replace(look, compact=True)).first
    compact = replace(large, compact=True)
    assert "unrolled" in next(iter(route_for(compact).first))
    assert not route_for(replace(compact, centre_missing=5)).first
    for voxels, wanted in ((8, False), (14, True)):
        seen = look_at(cdi.simulate("polygons", seed=1, size=32, dimensions=3, object_size=voxels, photons=1e6))
        assert seen.compact == wanted


@pytest.mark.parametrize("enough", [1e9, 1.0])
def test_what_is_tried_first_ends_the_race_where_it_explains_the_data(monkeypatch, enough):
    from cdipipe.methods.auto import choose, routes

    short = {name: {"method": name, "iterations": 12, "restarts": 1} for name in ("er", "hio")}
    route = routes.Route("as asked", first={"er": short["er"]}, rounds=({"hio": short["hio"]},), breeds=False)
    monkeypatch.setattr(choose, "route_for", lambda look: route)
    told = cdi.reconstruct(small_runs.measurement("plain"), {"method": "auto", "enough": enough}, seed=1).choice
    assert {lap["name"] for lap in told["race"]} == ({"er"} if enough > 1 else {"er", "hio"})
    assert ("leaves hardly more than noise" in told["because"]) == (enough > 1)


def test_what_was_tried_first_is_closed_again_only_where_it_leads():
    from types import SimpleNamespace

    from cdipipe.methods.auto.choose import _finalists

    def race(*scores):
        laps = [SimpleNamespace(score=one, judged=SimpleNamespace(cost=np.array([one - 9 * (i == 0)])))
                for i, one in enumerate(scores)]  # fmt: skip
        return SimpleNamespace(laps=laps, best=lambda _: sorted(laps, key=lambda lap: lap.score))

    behind, ahead = race(2.0, 1.0, 3.0), race(1.0, 2.0, 3.0)
    assert _finalists(behind, behind.laps[:1]) == behind.laps[1:]
    assert _finalists(ahead, ahead.laps[:1]) == ahead.laps


def test_every_name_in_the_routes_is_a_method():
    from cdipipe.methods.auto import routes

    names = ("STATIC", "PLACE", "IN_SITU", "FIELD", "PROBE", "PLANES", "COMPACT", "VOLUMES", "AREAS")
    tables = (getattr(routes, name) for name in names)
    for table in tables:
        for name, recipe in table.items():
            steps = recipe_from_mapping({**recipe}, name).steps
            assert {step for step, _ in steps} <= set(all_methods())


def test_a_missing_centre_is_seen(masked):
    look = look_at(masked[0])
    assert look.centre_missing >= 16 and "of the centre missing" in look.words()
    route = route_for(look)
    assert max(route.shares) < 0.5 and route.breeds is True and not route.sure
    assert look_at(small_runs.measurement("plain")).centre_missing == 0


def test_the_race_is_told_best_first_and_the_winner_sees_all_pixels():
    measurement = small_runs.measurement("shots")
    found = cdi.reconstruct(measurement, {"method": "auto", **QUICK}, seed=1)
    told = found.choice
    assert {lap["name"].split(",")[0] for lap in told["race"]} <= {"raar", "gps"}
    assert {*told["chosen"].split("; ")} <= {lap["name"] for lap in told["race"]} and told["recipe"]["steps"]
    assert all(lap["free_nll"] > 0 and lap["over_noise"] > 0 for lap in told["race"])
    assert found.object.shape == measurement.intensity.shape and found.free_pixels is None
    assert np.isfinite(found.run_scores["poisson_nll"]).all()


def test_pixels_that_the_caller_withholds_are_seen_by_nobody():
    measurement, settings = small_runs.measurement("plain"), {"method": "auto", **QUICK}
    first = cdi.reconstruct(measurement, settings, seed=1, free_fraction=0.1)
    wild = np.where(first.free_pixels, 1e6, measurement.intensity).astype(np.float32)
    again = cdi.reconstruct(replace(measurement, intensity=wild), settings, seed=1, free_fraction=0.1)
    assert np.array_equal(first.object, again.object)
    assert first.choice["race"][0]["free_nll"] == again.choice["race"][0]["free_nll"]
    assert "r_factor_free" in first.run_scores


def test_patterns_beyond_those_that_race_take_what_won():
    measurement = small_runs.measurement("shots")
    found = cdi.reconstruct(measurement, {"method": "auto", "raced": 1, **QUICK}, seed=1)
    assert found.object.shape == measurement.intensity.shape
    assert all(one.any() for one in found.object)


def test_frames_of_a_movie_come_back_as_a_movie_and_runs_are_kept():
    shots = small_runs.measurement("shots")
    movie = replace(shots, stack="movie", frame_times_s=np.arange(3.0))
    quick = {"method": "auto", "candidates": ["er"], "starts": 2}
    found = cdi.reconstruct(movie, quick, seed=1, keep_runs=True)
    assert found.stack == "movie" and found.runs is None
    kept = cdi.reconstruct(shots, quick, seed=1, keep_runs=True)
    assert kept.runs.shape == (len(kept.runs), *shots.intensity.shape) and len(kept.runs) >= 2
    assert np.array_equal(kept.runs[0], kept.object)


def test_starts_that_disagree_are_bred_and_areas_follow_only_where_that_is_not_enough(monkeypatch):
    from cdipipe.methods.auto import choose, routes

    short = {"er": {"method": "er", "iterations": 12}, "hio": {"method": "hio", "iterations": 12}}
    monkeypatch.setattr(choose, "AREAS", {"raar": {"method": "raar", "iterations": 20}})
    strict = {"method": "auto", "starts": 2, "agree": 1.0}
    laps = {}
    for enough in (1e9, 0.0):
        route = routes.Route("as asked", rounds=(short,), shares=(0.1,), enough_bred=enough)
        monkeypatch.setattr(choose, "route_for", lambda look, route=route: route)
        told = cdi.reconstruct(small_runs.measurement("plain"), strict, seed=1).choice
        laps[enough] = {lap["name"] for lap in told["race"]}
    assert laps[1e9] == {"er", "hio", "starts of er", "those of others"}
    assert {"all starts, bred", "raar in 10 % of the array"} < laps[0.0]


def test_each_pattern_keeps_the_lap_that_explains_it_best():
    from types import SimpleNamespace

    from cdipipe.phasing.closing import Closed, best_of
    from cdipipe.phasing.race import Judged

    def closed(name, closing, cost):
        lap = SimpleNamespace(candidate=SimpleNamespace(name=name))
        return Closed(lap, SimpleNamespace(name=closing), Judged(np.array(cost), np.ones(2), np.array(cost)))

    tried = [closed("a", "er", [1.0, 9.0]), closed("b", "er", [8.0, 2.0]), closed("c", "tv", [4.0, 4.0])]
    winner = best_of(tried)
    assert [lap.candidate.name for lap in winner.laps] == ["a", "b"] and winner.name == "a; b"
    assert winner.closing_name == "er" and winner.excess == 2.0
    assert best_of(tried[2:]).name == "c"


def test_options_that_no_candidate_takes_leave_the_sure_method():
    found = cdi.reconstruct(
        small_runs.measurement("plain"),
        {"method": "auto", "candidates": ["cdi_nn"], "constraint": "real_nonneg"},
        seed=1,
    )
    assert found.choice["chosen"] == "hio_er" and not found.object.imag.any()


def test_it_is_the_only_step_and_names_are_checked():
    with pytest.raises(InputError, match="auto must be the only step; it chooses the others"):
        recipe_from_mapping({"steps": [{"auto": {}}, {"er": {}}]})
    with pytest.raises(InputError, match=r"auto\.candidates.*unknown method 'rar'"):
        cdi.reconstruct(small_runs.measurement("plain"), {"method": "auto", "candidates": ["rar"]})
    with pytest.raises(InputError, match="cannot race itself"):
        cdi.reconstruct(small_runs.measurement("plain"), {"method": "auto", "candidates": ["auto"]})


def test_behind_a_beam_stop_the_area_of_the_support_finds_the_object(masked):
    measurement, truth = masked
    plain = cdi.reconstruct(measurement, "raar", seed=1, restarts=4)
    found = cdi.reconstruct(measurement, {"method": "area_scan", "iterations": 200, "refine": 1}, seed=1)
    judged = [cdi.evaluate(one, measurement, truth).metrics["complex_correlation"] for one in (plain, found)]
    assert judged[1] > 0.97 and judged[1] > judged[0] + 0.1, judged
    assert len(found.choice["race"]) == 6 and "of the array" in found.choice["chosen"]
    assert correlation(found.object, found.object * found.support) > 0.999


@pytest.mark.parametrize(
    ("best", "tried"), [(0.05, [0.05, 0.08, 0.03]), (0.12, [0.05, 0.08, 0.12]), (0.02, [0.05, 0.08, 0.03, 0.02])]
)
def test_areas_are_tried_downhill_from_the_middle(best, tried, monkeypatch):
    from types import SimpleNamespace

    from cdipipe.methods import area_scan
    from cdipipe.phasing import race

    monkeypatch.setattr(race, "candidates_of", lambda job, recipes: [*recipes.values()])
    lap = lambda recipe: SimpleNamespace(score=abs(np.log(recipe["shrink_wrap"]["area"][1] / best)))  # noqa: E731
    found = area_scan.scan(SimpleNamespace(job=None, run=lap), "raar", {}, area_scan.PLANE_SHARES, 0, downhill=True)
    assert list(found) == tried


@pytest.mark.parametrize(("excess", "ends"), [(2.0, True), (5.0, False)])
def test_a_volume_whose_starts_agree_ends_the_race_unless_it_explains_too_little(excess, ends, monkeypatch):
    from types import SimpleNamespace

    from cdipipe.methods.auto import choose
    from cdipipe.phasing.closing import Closed
    from cdipipe.phasing.race import Judged

    ran, judged = [], Judged(np.array([excess]), np.ones(1), np.array([excess]))

    def run(candidate):
        ran.append(SimpleNamespace(candidate=candidate, agreement=np.array([0.99]), score=len(ran), judged=judged))
        return ran[-1]

    look = look_at(small_runs.measurement("volume"))
    race = SimpleNamespace(job=None, run=run, laps=ran, best=lambda count: ran[:count], in_common=lambda *laps: 0.0)
    race.job = SimpleNamespace(measurement=SimpleNamespace(pattern_count=1))
    monkeypatch.setattr(choose, "_candidates", lambda job, recipes, _: [SimpleNamespace(name=name) for name in recipes])
    monkeypatch.setattr(choose, "close", lambda _, lap: [Closed(lap, None, lap.judged)])
    winner, _ = choose._run(race, route_for(look), SimpleNamespace(agree=0.98, enough=1.25))
    assert (len(ran) == 1) is ends and winner.name == "hio_er"


def test_the_command_and_info_tell_why(tmp_path, cli):
    file, out = tmp_path / "M.cxi", tmp_path / "R.cxi"
    cdi.save(file, small_runs.measurement("static"))
    assert "reference_lsq, without a race" in cli("reconstruct", file, "-m", "auto", "-o", out).out
    assert "because: a known static structure" in cli("info", out).out
