"""What can be searched follows from the annotations of the methods' parameters."""

from __future__ import annotations

import pytest

from cdipipe.errors import InputError
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.registry import all_methods
from cdipipe.tunable import Tune, TuneAmong
from cdipipe.tuning.choices import TuneChoices
from cdipipe.tuning.space import search_space, with_settings

CLASSICAL = ("er", "hio", "raar", "dm", "oss", "gps", "guided")
WRAP = [f"shrink_wrap.{key}" for key in ("every", "sigma_start_px", "sigma_end_px", "threshold")]


def ends(dim):
    """The ends of a range, or its values."""
    if isinstance(dim.range, TuneAmong):
        return dim.range.values
    whole = int if dim.is_whole else float
    return whole(dim.range.low), whole(dim.range.high)


@pytest.mark.parametrize("name", sorted(all_methods()))
def test_every_range_holds_the_default_and_is_allowed_to_its_ends(name):
    marked = [f for f in all_methods()[name].parameters.model_fields.values() if any(map(is_mark, f.metadata))]
    mapping = {"method": name}
    try:
        space = search_space(mapping)
    except InputError:
        assert not marked
        return
    assert len(marked) <= len(space)
    for key, dim in space.items():
        for value in (*ends(dim), dim.default):
            recipe_from_mapping(with_settings(mapping, {key: value}))


def is_mark(mark) -> bool:
    return isinstance(mark, (Tune, TuneAmong))


def test_every_classical_method_has_its_own_range_and_the_supports():
    for name in CLASSICAL:
        assert set(WRAP) <= set(search_space({"method": name})), name
    assert "beta" in search_space({"method": "raar"}) and "closing_er" in search_space({"method": "hio"})


def test_what_is_set_stays_and_what_has_no_effect_is_not_searched():
    space = search_space({"method": "hio", "beta": 0.7, "shrink_wrap": {"every": 0}})
    assert list(space) == ["er_every", "closing_er"]
    assert not set(WRAP) & set(search_space({"method": "hio"}, support_known=True))
    assert "shrink_wrap.threshold" not in search_space({"method": "hio", "shrink_wrap": {"area": [0.1, 0.05]}})


def test_sequences_share_their_keys_and_listed_steps_have_their_own():
    assert "beta" in search_space({"sequence": "20*HIO+5*ER"})
    steps = {"steps": [{"hio": {"iterations": 9}}, "raar"]}
    space = search_space(steps)
    assert {"steps.0.hio.beta", "steps.1.raar.beta"} <= set(space)
    changed = with_settings(steps, {"steps.1.raar.beta": 0.8, "shrink_wrap.every": 7})
    assert changed["steps"] == [{"hio": {"iterations": 9}}, {"raar": {"beta": 0.8}}]
    assert changed["shrink_wrap"] == {"every": 7} and steps["steps"][1] == "raar"


@pytest.mark.parametrize(
    ("recipe", "over", "complaint"),
    [
        ({"method": "hio"}, ("betta",), "did you mean 'beta'"),
        ({"method": "hio", "beta": 0.9}, ("beta",), "the recipe sets it"),
        ({"method": "cdi_nn"}, (), "no key has a range"),
    ],
)
def test_slips_are_named(recipe, over, complaint):
    with pytest.raises(InputError, match=complaint):
        search_space(recipe, over)


def test_a_budget_that_is_too_small_says_what_it_takes():
    with pytest.raises(ValueError, match="expected at least 42"):
        TuneChoices(budget=20)
    assert TuneChoices(budget=42).trials == 2 and TuneChoices().trials == 28
