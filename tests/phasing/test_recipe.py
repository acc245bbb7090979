import subprocess
import sys

import pytest

from cdipipe.errors import InputError
from cdipipe.phasing.plan import plan_steps
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.sequence import expand_sequence


def test_the_fields_shorthand():
    steps = expand_sequence("3*(20*ER+180*HIO)+20*ER")
    assert steps == [("er", 20), ("hio", 180)] * 3 + [("er", 20)]
    assert sum(count for _, count in steps) == 620
    assert expand_sequence("2*(1*ER+2*(3*RAAR))+5*ml") == [("er", 1), *[("raar", 3)] * 2] * 2 + [("poisson_ml", 5)]


@pytest.mark.parametrize(
    "text", ["", "ER", "20*", "20*(ER", "20*(1*ER", "20*ER)", "0*ER", "-1*ER", "20*ER+", "1.5*ER", "20 ER", "("]
)
def test_a_broken_shorthand_is_named(text):
    with pytest.raises(InputError, match="expected"):
        expand_sequence(text)


@pytest.mark.parametrize(
    "mapping, message",
    [
        ({"method": "hio", "betta": 1}, r"methods.x.betta: unknown key 'betta' \(did you mean 'beta'\?\)"),
        ({"steps": [{"hio": {"betta": 1}}]}, r"methods.x.steps\[0\].hio.betta: unknown key 'betta'.*it takes"),
        ({"sequence": "1*HIO", "gamma": 1}, r"methods.x.gamma: unknown key 'gamma'; it takes"),
        ({"method": "hoi"}, r"unknown method 'hoi' \(did you mean 'hio'\?\)"),
        ({"method": "hio", "shrink_wrap": {"evry": 1}}, r"methods.x.shrink_wrap.evry: unknown key"),
        ({"method": "hio", "iterations": 0}, r"methods.x.iterations"),
        ({"method": "hio", "beta": "big"}, r"methods.x.beta"),
        ({"method": "hio", "average_best": 3}, r"3 runs cannot be averaged out of 1"),
        ({"method": "hio", "sequence": "1*ER"}, r"exactly one of"),
        ({}, r"exactly one of"),
        ({"steps": []}, r"expected a list"),
        ({"method": 3}, r"expected text"),
        ("hio", r"expected a mapping"),
        ({"method": "hio", "phase_range_rad": [1, -1]}, r"phase_range_rad"),
        (
            {"method": "hio", "phase_range_rad": [-1, 1]},
            r"constraint 'support' takes none; set constraint: phase_range",
        ),
        ({"method": "hio", "coherence": {"every": 5}}, r"every: nothing is fitted; set coherence.fit: true"),
        ({"method": "hio", "shrink_wrap": {"area": [0.1, 0.1], "threshold": 0.2}}, r"the area decides"),
        ({"method": "dip", "average_last": 5}, r"methods.x.average_last: dip does not take it; these do: .*hio"),
        (
            {"method": "cdi_nn", "restarts": 2},
            r"methods.x.restarts: cdi_nn does not take it; these do: ad_refine",
        ),
        ({"steps": ["hio", "cdi_nn"]}, r"methods.x: cdi_nn takes nothing from the steps before it"),
        ({"steps": ["hio", "static_estimate"]}, r"methods.x: static_estimate must be the first step"),
    ],
)
def test_a_wrong_recipe_is_named(mapping, message):
    with pytest.raises(InputError, match=message) as caught:
        recipe_from_mapping(mapping, "methods.x")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "mapping",
    [
        {"method": "hio", "iterations": 400, "beta": 0.8, "restarts": 8, "shrink_wrap": {"every": 5}},
        {"sequence": "3*(20*ER+180*HIO)+20*ER", "beta": 0.7},
        {"steps": ["er", {"raar": {"beta": 0.85}}], "constraint": "real_nonneg"},
    ],
)
def test_a_recipe_survives_a_file(mapping):
    recipe = recipe_from_mapping(mapping)
    assert recipe_from_mapping(recipe.to_mapping()) == recipe


def test_shared_parameters_reach_the_steps_that_know_them():
    recipe = recipe_from_mapping({"sequence": "2*(5*ER+10*HIO)", "beta": 0.7})
    assert [getattr(p, "beta", None) for _, p in recipe.steps] == [None, 0.7] * 2


def brief(step):
    return step.method.name, step.parameters.iterations, step.moves_support


def test_a_single_method_closes_with_error_reduction():
    plan = plan_steps(recipe_from_mapping({"method": "raar", "iterations": 100}))
    assert [(s.method.name, s.parameters.iterations, s.moves_support) for s in plan] == [
        ("raar", 80, True),
        ("er", 20, False),
    ]
    plan = plan_steps(recipe_from_mapping({"method": "er", "iterations": 100}))
    assert [brief(step) for step in plan] == [("er", 100, True)]


def test_validation_needs_no_torch():
    code = "import sys; from cdipipe.phasing.recipe import recipe_from_mapping as r; r({'method': 'dm'})"
    code += "; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
