"""Lattices of reference and their planes."""

from __future__ import annotations

import numpy as np
import pytest

from cdipipe.errors import InputError
from cdipipe.optics.lattice import get_lattice, read_lattices


def test_planes_of_a_cube_are_a_over_the_root_of_the_squares():
    gold = get_lattice("Gold")
    assert gold.spacing_nm((1, 1, 1)) == pytest.approx(0.40782 / np.sqrt(3))
    assert gold.spacing_nm((2, 0, 0)) == pytest.approx(0.20391)


def test_planes_of_a_hexagonal_cell():
    """1/d^2 = 4/3 (h^2 + hk + k^2) / a^2 + l^2 / c^2."""
    calcite = get_lattice("calcite")
    expected = 4 / 3 / 0.49896**2 + 16 / 1.7061**2
    assert calcite.spacing_nm((1, 0, 4)) == pytest.approx(expected**-0.5)


def test_a_triclinic_cell_has_its_angles():
    cell = get_lattice("0.5,0.6,0.7,80,95,110").cell_nm
    lengths = np.linalg.norm(cell, axis=0)
    a, b, c = (cell / lengths).T
    assert lengths == pytest.approx([0.5, 0.6, 0.7])
    assert np.degrees(np.arccos([b @ c, a @ c, a @ b])) == pytest.approx([80, 95, 110])


def test_a_cell_may_be_given_in_numbers():
    assert get_lattice("0.40782").spacing_nm((1, 0, 0)) == pytest.approx(0.40782)
    assert get_lattice("0.3992,0.4036").spacing_nm((0, 0, 1)) == pytest.approx(0.4036)


def test_a_measured_spacing_near_the_reference():
    assert get_lattice("gold").check(0.2334841, (1, 1, 1)) == pytest.approx(-0.0084, abs=1e-4)
    with pytest.raises(InputError, match=r"0.23348 nm apart are not 200 of gold \(0.20391 nm\)"):
        get_lattice("gold").check(0.2334841, (2, 0, 0))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("goold", "did you mean 'gold'"),
        ("4.0782e-10", "expected a material, or nm"),
        ("0.4,0.4,0.4", "expected a material"),
        ("0.4,0.4,0.4,90,90,170", "between 20 and 160"),
    ],
)
def test_what_is_no_lattice(name, words):
    with pytest.raises(InputError, match=words):
        get_lattice(name)


def test_every_lattice_of_the_list_has_planes():
    for lattice in read_lattices().values():
        assert 0.1 < lattice.spacing_nm((1, 1, 1)) < 0.6
    with pytest.raises(InputError, match="has no lattice planes"):
        get_lattice("gold").spacing_nm((0, 0, 0))
