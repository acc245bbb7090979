"""Every option of a recipe, on every method: it has an effect that can be measured, or it is refused by its name."""

import numpy as np
import pytest
import small_runs
from objects import correlation

from cdipipe import interrupt
from cdipipe.errors import InputError
from cdipipe.phasing.options import OPTIONS
from cdipipe.phasing.plan import plan_steps
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.registry import Choice, Joint, Predictor, Preparation, Update, all_methods, get_method
from cdipipe.phasing.starts import Start
from cdipipe.progress import Progress

NAMES = list(all_methods())
SETTINGS = {
    "constraint": {"constraint": "real_nonneg"},
    "use_static_region": {"use_static_region": False},
    "coherence": {"coherence": {"width_px": 3.0}},
    "coherence.fit": {"coherence": {"fit": True}},
    "background": {"background": {"photons": 5.0}},
    "background.fit": {"background": {"fit": True}},
    "start_support": {"start_support": {"half_side_px": 3}},
    "shrink_wrap": {"shrink_wrap": {"every": 2, "threshold": 0.3}},
    "restarts": {"restarts": 2},
    "select": {"select": "r_factor"},
    "average_best": {"average_best": 2, "restarts": 3},
    "average_last": {"average_last": 5},
    "closing_er": {"closing_er": 0.5},
    "stop_below": {"stop_below": 0.9},
    "batch": {"batch": 1},
}
STILL = {"shrink_wrap": {"every": 0}, "closing_er": 0.0}


def honours(name, option):
    return any(get_method(name).on(stack).honours(option) for stack in ("single", "movie"))


def who(option, *kinds):
    """Methods that honour an option; of some kinds, if any are given."""
    return [name for name in NAMES if honours(name, option) and isinstance(get_method(name), kinds or object)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("networks")


def still(name, **options):
    """Options with a support that stands still and no closing block, as far as the method takes them."""
    return {key: value for key, value in STILL.items() if honours(name, key)} | options


def differ(one, other):
    assert one.object.shape == other.object.shape
    return not (np.array_equal(one.object, other.object) and np.array_equal(one.error_trace, other.error_trace))


def test_every_option_is_tried_here():
    assert set(SETTINGS) == set(OPTIONS)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("option", SETTINGS)
def test_what_would_be_ignored_is_refused_by_name_when_the_recipe_is_read(name, option, folder):
    mapping = small_runs.mapping(name, folder, **SETTINGS[option])
    mapping |= {"start": "both"} if name == "cdip" else {}
    if honours(name, option) and all(honours(name, key) for key in SETTINGS[option] if key in OPTIONS):
        recipe_from_mapping(mapping, "methods.x")
        return
    with pytest.raises(InputError) as caught:
        recipe_from_mapping(mapping, "methods.x")
    said = str(caught.value)
    assert said.startswith("methods.x.") and f": {name} does not take it; these do: " in said and "\n" not in said
    assert any(said.startswith(f"methods.x.{key}:") for key in (option, *SETTINGS[option]))


@pytest.mark.parametrize("name", who("constraint"))
@pytest.mark.parametrize("constraint", ["real_nonneg", "re_nonneg", "quadrant", "phase_range"])
def test_the_result_satisfies_the_constraint_to_the_last_bit(name, constraint, folder):
    range_rad = {"phase_range_rad": [-0.3, 0.4]} if constraint == "phase_range" else {}
    best = {"restarts": 2, "average_best": 2} if honours(name, "average_best") else {}
    found = small_runs.run(name, folder, constraint=constraint, **range_rad, **best)
    inside = found.object[found.support]
    assert np.isfinite(found.object).all() and inside.any()
    if constraint in ("real_nonneg", "re_nonneg", "quadrant"):
        assert inside.real.min() >= 0
    if constraint == "real_nonneg":
        assert not inside.imag.any()
    if constraint == "quadrant":
        assert inside.imag.min() >= 0
    if constraint == "phase_range":
        assert np.angle(inside).min() > -0.3 - 1e-5 and np.angle(inside).max() < 0.4 + 1e-5


@pytest.mark.parametrize("name", who("stop_below"))
def test_the_early_stop_ends_a_step_that_has_settled(name, folder):
    if "iterations" not in get_method(name).parameters.model_fields:
        pytest.fail(f"{name} has no iterations to stop")
    found = small_runs.run(name, folder, iterations=60, stop_below=0.9, **still(name))
    assert found.error_trace.shape[-1] == 40 and np.isfinite(found.error_trace).all()
    as_long = small_runs.run(name, folder, iterations=60, **still(name))
    assert as_long.error_trace.shape[-1] == 60


@pytest.mark.parametrize("name", who("average_last"))
def test_the_mean_of_the_last_estimates(name, folder):
    plain = small_runs.run(name, folder, **still(name))
    found = small_runs.run(name, folder, average_last=5, **still(name))
    assert differ(plain, found) and np.isfinite(found.run_scores["r_factor"]).all()
    both = small_runs.run(name, folder, iterations=60, average_last=5, stop_below=0.9, **still(name))
    assert both.error_trace.shape[-1] == 45  # those that are averaged come after the stop


@pytest.mark.parametrize("name", who("closing_er"))
def test_a_closing_block_of_error_reduction(name, folder):
    recipe = recipe_from_mapping(small_runs.mapping(name, folder, closing_er=0.5))
    assert plan_steps(recipe)[-1].method.name == "er"
    found = small_runs.run(name, folder, closing_er=0.5)
    if name != "er":
        assert differ(found, small_runs.run(name, folder, closing_er=0.0))


@pytest.mark.parametrize("name", who("shrink_wrap"))
def test_shrink_wrap_moves_the_support(name, folder):
    stands = small_runs.run(name, folder, shrink_wrap={"every": 0})
    moves = small_runs.run(name, folder, shrink_wrap={"every": 2, "threshold": 0.3})
    assert not np.array_equal(stands.support, moves.support)


@pytest.mark.parametrize("name", [n for n in who("start_support") if n != "cdip"])
def test_the_first_support(name, folder):
    if {"static_support", "movie"} & set(get_method(name).needs):
        pytest.skip("the scenes with a static structure tell their support")
    if isinstance(get_method(name), Choice):
        pytest.skip("which support it ends with is what it chooses")
    small = small_runs.run(name, folder, start_support={"half_side_px": 3}, **still(name))
    large = small_runs.run(name, folder, start_support={"half_side_px": 6}, **still(name))
    assert small.support.sum() < large.support.sum()


@pytest.mark.parametrize("name", who("restarts"))
def test_restarts_are_scored_and_do_not_depend_on_how_they_are_batched(name, folder):
    early = {"iterations": 60, "stop_below": 0.3} if honours(name, "stop_below") else {}
    kept = {"extra": {"keep_runs": True}, "restarts": 3, **early}
    together = small_runs.run(name, folder, **kept)
    alone = small_runs.run(name, folder, batch=1, **kept)
    assert sorted(together.run_scores["seed"]) == [0, 1, 2]
    assert np.all(np.diff(together.run_scores["poisson_nll"]) >= 0)
    assert np.array_equal(together.run_scores["seed"], alone.run_scores["seed"])
    assert correlation(together.runs, alone.runs) > 1 - 1e-4
    assert np.array_equal(np.isfinite(together.error_trace), np.isfinite(alone.error_trace))


@pytest.mark.parametrize("name", who("select"))
def test_the_score_that_ranks(name, folder):
    found = small_runs.run(name, folder, restarts=3, select="r_factor")
    assert np.all(np.diff(found.run_scores["r_factor"]) >= 0)
    with pytest.raises(InputError, match="select: r_factor_free is of withheld pixels; give --free-fraction"):
        small_runs.run(name, folder, select="r_factor_free")


@pytest.mark.parametrize("name", who("average_best"))
def test_the_mean_of_the_best_restarts(name, folder):
    found = small_runs.run(name, folder, restarts=3, average_best=2, extra={"keep_runs": True})
    np.testing.assert_allclose(found.object, found.runs[:2].mean(0), atol=1e-5 * np.abs(found.object).max())


@pytest.mark.parametrize("name", who("batch", Predictor))
def test_patterns_go_through_a_network_in_batches(name, folder):
    kind = "volume" if "volume" in get_method(name).needs else "shots"
    one, all_ = (small_runs.run(name, folder, kind, batch=size) for size in (1, 3))
    np.testing.assert_allclose(one.object, all_.object, atol=1e-3 * np.abs(one.object).max())


@pytest.mark.parametrize("option", ["coherence", "background"])
def test_light_that_is_known_is_used(option, folder):
    for name in who(option):
        plain, found = (small_runs.run(name, folder, **more) for more in ({}, SETTINGS[option]))
        assert differ(plain, found), name
        assert found.forward != plain.forward, name


@pytest.mark.parametrize("name", who("coherence.fit"))
def test_the_coherence_width_is_fitted(name, folder):
    often = {} if name == "cdip" else {"start": 2, "every": 2}
    found = small_runs.run(name, folder, coherence={"fit": True, **often}, restarts=2)
    widths = found.run_scores["coherence_px"]
    assert np.isfinite(widths).all() and (widths != 16.0).all()  # half the longest side is where the fit starts


@pytest.mark.parametrize("name", who("background.fit"))
def test_the_background_is_fitted(name, folder):
    found = small_runs.run(name, folder, background={"photons": 1.0, "fit": True})
    assert found.run_scores["background_photons"][0] != 1.0


@pytest.mark.parametrize("name", [n for n in who("use_static_region") if "movie" not in get_method(n).needs])
def test_the_static_region_is_made_part_of_the_object(name, folder):
    found = small_runs.run(name, folder, "static", use_static_region=False)
    assert "static_region" not in found.forward
    static = small_runs.measurement("static").static_support
    assert found.object[static].any()


@pytest.mark.parametrize("name", NAMES)
def test_a_start_is_used_or_refused(name, folder):
    own = small_runs.measurement(small_runs.kind_for(name))
    centre = tuple(slice(size // 2 - 4, size // 2 + 4) for size in own.pattern_shape)
    support = np.zeros(own.pattern_shape, bool)
    support[centre] = True
    support &= True if own.known_static_support is None else ~own.known_static_support
    used = {"start object": {"object": support.astype(np.complex64)}, "start support": {"support": support}}
    for option, given in used.items():
        extra = {"extra": {"start": Start(**given)}}
        if not get_method(name).on(own.stack).honours(option):
            with pytest.raises(InputError, match=rf"^{name} .*\(--(init|support)\)"):
                small_runs.run(name, folder, **extra)
            continue
        settings = {"start": "guided", "guided_starts": 2} if name == "cdip" else {}
        found = small_runs.run(name, folder, **extra, **still(name, **settings))
        assert differ(found, small_runs.run(name, folder, **still(name, **settings))), option


@pytest.mark.parametrize("name", NAMES)
def test_a_preview_is_drawn_or_refused(name, folder):
    seen = []
    extra = {"preview": lambda problem, state, done: seen.append((done, state.exit_wave.shape, state.support.shape))}
    if not honours(name, "preview"):
        with pytest.raises(InputError, match=f"--preview: {name} has no iterations to show"):
            small_runs.run(name, folder, extra=extra)
        return
    small_runs.run(name, folder, extra=extra)
    done, wave, support = seen[-1]
    assert done > 0 and wave == support and wave[0] == 1


@pytest.mark.parametrize("name", NAMES)
def test_progress_counts_what_was_planned(name, folder, monkeypatch):
    bars, enter = [], Progress.__enter__
    monkeypatch.setattr(Progress, "__enter__", lambda bar: bars.append(bar) or enter(bar))
    small_runs.run(name, folder, **({"restarts": 3, "batch": 2} if honours(name, "restarts") else {}))
    assert bars
    for bar in bars:  # an estimate of the static region plans for all its tries
        assert bar.count == bar.total or (isinstance(get_method(name), Preparation) and 0 < bar.count <= bar.total)


@pytest.mark.parametrize("name", NAMES)
def test_ctrl_c_ends_it_within_an_iteration(name, folder, monkeypatch):
    counts, update = [], Progress.update

    def press(bar, steps=1, note=""):
        update(bar, steps, note)
        counts.append(steps)
        interrupt._pressed.set()

    monkeypatch.setattr(Progress, "update", press)
    kind = "shots" if isinstance(get_method(name), Predictor) and "plane" in get_method(name).needs else None
    one_by_one = {"batch": 1} if kind else {}
    try:
        if (isinstance(get_method(name), Predictor) and kind is None) or name == "reference_lsq":
            pytest.skip("all in one go")
        with pytest.raises(KeyboardInterrupt):
            small_runs.run(name, folder, kind, **one_by_one)
    finally:
        interrupt._pressed.clear()
    assert len(counts) == 1


def test_every_method_is_of_one_kind():
    from cdipipe.phasing.registry import Step

    kinds = (Update, Step, Joint, Predictor, Preparation, Choice)
    for method in all_methods().values():
        assert type(method) in kinds, method.name
