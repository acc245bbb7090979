"""Needs are declared once; methods, scenes and studies speak of them in the same words."""

from cdipipe.phasing.needs import NEEDS, lacking
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.registry import all_methods
from cdipipe.simulation.registry import all_scenes


def lacks(mapping, *has):
    return [(method.name, need) for method, need in lacking(recipe_from_mapping(mapping).steps, has)]


def test_methods_and_scenes_name_only_needs_that_there_are():
    named = {need for method in all_methods().values() for need in method.all_needs}
    for scene in all_scenes().values():
        named |= set(scene.gives(scene.parameters()))
    assert named <= set(NEEDS)


def test_what_is_missing_is_told_method_by_method():
    assert lacks({"method": "lodip"}, "plane", "static_support") == [("lodip", "static_region")]
    assert lacks({"method": "hio"}) == []
    assert lacks({"steps": ["cdi_nn", "hio"]}, "plane") == [("cdi_nn", "alone")]


def test_a_preparation_meets_the_needs_of_the_steps_that_follow():
    assert lacks({"steps": ["static_estimate", "lodip"]}, "static_support") == []
    assert lacks({"steps": ["static_estimate", "lodip"]}) == [("static_estimate", "static_support")]


def test_a_checkpoint_brings_the_weights():
    assert lacks({"method": "dpr"}, "plane", "alone") == [("dpr", "weights")]
    assert lacks({"method": "dpr", "checkpoint": "best.pt"}, "plane", "alone") == []
