"""Pages to look into an object: the values in them are those of the object, where they are said to be."""

from __future__ import annotations

import base64
import json
import re
import zlib
from dataclasses import replace

import numpy as np
import pytest
import trimesh

import cdipipe as cdi
from cdipipe.bragg.strain import analyse
from cdipipe.figures import viewer
from cdipipe.figures.viewer import content
from cdipipe.geometry import Geometry
from cdipipe.measurement import Reconstruction

NM = Geometry(energy_ev=12398.42, distance_m=1.0, pixel_y_m=1e-4, pixel_x_m=1e-4)


def values_of(view, panel):
    """What the browser makes of a panel."""
    shape = [axis["size"] for axis in view["axes"]]
    steps = np.frombuffer(zlib.decompress(base64.b64decode(panel["data"])), "<u2").reshape(shape).astype(float)
    values = panel["low"] + steps / 65534 * (panel["high"] - panel["low"])
    return np.where(steps == content.UNKNOWN, np.nan, values)


def ball(shape=(24, 28, 32), radius=7.0, ramp=0.1):
    """A ball about the array's centre whose phase rises along x."""
    axes = np.meshgrid(*(np.arange(n) - n // 2 for n in shape), indexing="ij")
    inside = sum(axis**2 for axis in axes) <= radius**2
    return Reconstruction((inside * np.exp(1j * ramp * axes[-1])).astype(np.complex64), inside, "volume")


def test_values_and_places_are_those_of_the_object():
    rng = np.random.default_rng(3)
    support = np.zeros((40, 50), bool)
    support[10:30, 20:40] = True
    object_ = (support * (2 + rng.random((40, 50))) * np.exp(1j * rng.normal(0, 0.3, (40, 50)))).astype(np.complex64)
    view = viewer.object_view(Reconstruction(object_, support, geometry=NM))
    amplitude, phase, both = view["panels"]
    rows, columns = view["axes"]
    corner = [20 - rows["zero"], 25 - columns["zero"]]  # the array's centre, less the place of zero in the view
    part = tuple(slice(c, c + axis["size"]) for c, axis in zip(corner, view["axes"], strict=True))
    np.testing.assert_allclose(values_of(view, amplitude), np.abs(object_[part]), atol=3 / 65534)
    found = values_of(view, phase)
    np.testing.assert_array_equal(np.isfinite(found), support[part])
    turned = np.exp(1j * found[support[part]]) * object_[part][support[part]].conj()
    assert np.ptp(np.angle(turned / turned.mean())) < 1e-3 and both["of"] == [0, 1]
    assert (rows["unit"], rows["step"]) == ("nm", pytest.approx(25.0)) and columns["step"] == pytest.approx(20.0)
    assert part[0].start <= 10 and part[0].stop >= 30 and part[1].start <= 20 and part[1].stop >= 40


def test_a_real_object_has_no_phase_to_show():
    values = np.zeros((20, 20), np.complex64)
    values[5:12, 6:14] = 3
    assert [p["title"] for p in viewer.object_view(Reconstruction(values, values != 0))["panels"]] == ["amplitude"]
    values[6, 7] = -3
    assert len(viewer.object_view(Reconstruction(values, values != 0))["panels"]) == 3


def test_a_slider_has_the_frames_of_a_stack_and_fewer_of_a_large_one():
    values = np.tile(np.pad(np.ones((8, 8), np.complex64), 4), (9, 1, 1)) * np.arange(1, 10)[:, None, None]
    stack = Reconstruction(values, values != 0, "shots")
    view = viewer.object_view(stack)
    assert view["axes"][0]["labels"][-1] == "pattern 9 of 9"
    np.testing.assert_allclose(values_of(view, view["panels"][0]).max((1, 2)), range(1, 10), rtol=1e-4)
    few = viewer.object_view(stack, most_values=3 * 14 * 14)
    assert few["axes"][0]["labels"] == ["pattern 1 of 9", "pattern 5 of 9", "pattern 9 of 9"]
    np.testing.assert_allclose(values_of(few, few["panels"][0]).max((1, 2)), [1, 5, 9], rtol=1e-4)


def test_a_large_volume_is_thinned_about_its_centre():
    whole = ball()
    view, all_of_it = viewer.object_view(whole, 1000), viewer.object_view(whole)
    assert np.prod([axis["size"] for axis in view["axes"]]) <= 1000 and view["axes"][2]["step"] == 3
    centre, full = (tuple(a["zero"] for a in v["axes"]) for v in (view, all_of_it))
    thin, thick = (values_of(v, v["panels"][1]) for v in (view, all_of_it))
    for x in (-1, 0, 1):
        assert thin[(*centre[:2], centre[2] + x)] == pytest.approx(thick[(*full[:2], full[2] + 3 * x)], abs=1e-4)


def mesh_of(surface):
    scene = trimesh.load(trimesh.util.wrap_as_stream(base64.b64decode(surface["data"])), file_type="glb")
    return next(iter(scene.geometry.values()))


def test_the_surface_of_a_ball_is_a_ball_coloured_by_its_phase():
    view = viewer.object_view(replace(ball(), geometry=Geometry()))
    (surface,) = view["surfaces"]
    mesh = mesh_of(surface)
    assert mesh.is_watertight and mesh.volume == pytest.approx(4 / 3 * np.pi * 7**3, rel=0.1)  # outward normals
    colours = np.asarray(mesh.visual.vertex_attributes["color"])[:, :3].astype(int)
    x = mesh.vertices[:, 0] - mesh.vertices[:, 0].mean()
    red, blue = colours[x > 5].mean(0), colours[x < -5].mean(0)
    assert red[0] > red[2] + 50 and blue[2] > blue[0] + 50


def test_a_crystal_shows_what_strain_found():
    measurement, truth = cdi.simulate("bragg", seed=1, with_truth=True)
    crystal = analyse(Reconstruction(truth.object, truth.support, "volume", geometry=measurement.geometry))
    view = viewer.crystal_view(crystal)
    titles = [panel["title"] for panel in view["panels"]]
    assert titles == ["amplitude", "displacement along Q", "strain along Q"]
    grid = crystal.orthogonal
    strain = values_of(view, view["panels"][2])
    np.testing.assert_array_equal(np.isfinite(strain), grid.inside & np.isfinite(grid.strain))
    known = np.isfinite(strain)
    np.testing.assert_allclose(strain[known], 1e4 * grid.strain[known], atol=np.ptp(1e4 * grid.strain[known]) / 6e4)
    assert [surface["title"] for surface in view["surfaces"]] == ["strain along Q", "displacement along Q"]
    assert len(mesh_of(view["surfaces"][0]).faces) > 500


def test_the_page_asks_for_nothing_else(tmp_path):
    viewer.write_page(tmp_path / "page.html", viewer.object_view(ball()), "a <ball>", "cdipipe view")
    text = (tmp_path / "page.html").read_text()
    assert "a &lt;ball&gt;" in text and not re.search(r'(src|href)="http', text)
    shared = json.loads(re.search(r'id="view-shared">(.*?)</script>', text, re.DOTALL)[1])
    inside = zlib.decompress(base64.b64decode(shared["turntable"]["page"])).decode()
    assert inside.count(shared["turntable"]["mesh"]) == 1 and "THREE" in inside
    plane = replace(ball(), object=ball().object[12], support=ball().support[12], stack="single")
    viewer.write_page(tmp_path / "plane.html", viewer.object_view(plane), "plane")
    assert "turntable" not in re.search(r'id="view-shared">(.*?)</script>', (tmp_path / "plane.html").read_text())[1]
