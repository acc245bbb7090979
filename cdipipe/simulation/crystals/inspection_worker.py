"""The OVITO side of :mod:`cdipipe.simulation.crystals.inspection`, a program of its own.

``inspection_worker.py ATOMS.npy RESULT.json TYPES.npy``: atoms (N, 3), x, y, z in angstrom.
"""

import json
import sys

import numpy as np

PROBE_A = 3.6
"""Radius of the sphere that feels for the surface: larger than the holes of the gold lattice, smaller than facets."""


def measure(atoms, lattice_constant):
    """What OVITO finds, and the structure type of each atom: 0 none, 1 fcc, 2 hcp, ..."""
    from ovito.modifiers import ConstructSurfaceModifier, PolyhedralTemplateMatchingModifier

    found = computed(atoms, PolyhedralTemplateMatchingModifier())
    types = np.array(found.particles["Structure Type"])
    count = {name: found.attributes[f"PolyhedralTemplateMatching.counts.{name}"] for name in ("FCC", "HCP")}
    surface = ConstructSurfaceModifier(radius=PROBE_A, smoothing_level=0, identify_regions=True)
    hull = computed(atoms, surface).attributes
    return {
        "fcc_share": count["FCC"] / len(atoms),
        "hcp_share": count["HCP"] / len(atoms),
        "surface_nm2": hull["ConstructSurfaceMesh.surface_area"] / 100,
        "volume_nm3": hull["ConstructSurfaceMesh.filled_volume"] / 1000,
        **lines(atoms),
        **strain(atoms, lattice_constant),
    }, types


def lines(atoms):
    """Lengths of dislocations by the dislocation extraction algorithm: all of them, and the partial ones."""
    from ovito.modifiers import DislocationAnalysisModifier

    found = computed(atoms, DislocationAnalysisModifier()).attributes
    return {
        "dislocations_nm": found["DislocationAnalysis.total_line_length"] / 10,
        "partials_nm": found["DislocationAnalysis.length.1/6<112>"] / 10,
    }


def strain(atoms, lattice_constant):
    """Mean and spread of the elastic strain tensor over the fcc atoms: xx, yy, zz, xy, xz, yz."""
    from ovito.modifiers import ElasticStrainModifier

    modifier = ElasticStrainModifier(calculate_strain_tensors=True)
    modifier.input_crystal_structure = ElasticStrainModifier.Lattice.FCC
    modifier.lattice_constant = lattice_constant
    tensors = np.array(computed(atoms, modifier).particles["Elastic Strain"])
    known = np.any(tensors != 0, axis=1)
    if not known.any():
        return {"elastic_strain": [None] * 6, "elastic_strain_spread": [None] * 6}
    tensors = tensors[known]
    return {"elastic_strain": tensors.mean(0).tolist(), "elastic_strain_spread": tensors.std(0).tolist()}


def computed(atoms, modifier):
    """The atoms as OVITO's data, after one modifier."""
    from ovito.data import DataCollection
    from ovito.pipeline import Pipeline, StaticSource

    data = DataCollection()
    low, high = atoms.min(axis=0) - 20, atoms.max(axis=0) + 20
    data.create_cell(np.column_stack([np.diag(high - low), low]), pbc=(False, False, False))
    data.create_particles(count=len(atoms)).create_property("Position", data=atoms)
    pipeline = Pipeline(source=StaticSource(data=data))
    pipeline.modifiers.append(modifier)
    return pipeline.compute()


def main(atoms, result, types, lattice_constant):
    try:
        found, kinds = measure(np.load(atoms), float(lattice_constant))
        np.save(types, kinds)
    except ImportError as error:
        found = {"missing": str(error)}
    except Exception as error:
        found = {"failed": str(error)}
    with open(result, "w") as file:
        json.dump(found, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
