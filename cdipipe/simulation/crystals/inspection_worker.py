"""The OVITO side of :mod:`cdipipe.simulation.crystals.inspection`, a program of its own.

``inspection_worker.py ATOMS.npy RESULT.json PICTURE.png``: atoms (N, 4) as x, y, z in angstrom and phase in radians.
The result is written first, since drawing may fail, or crash, where there is no renderer.
"""

import json
import sys

import numpy as np

PROBE_A = 3.6
"""Radius of the sphere that feels for the surface: larger than the holes of the gold lattice, smaller than facets."""
PICTURE_PX = 400
VIEW_FROM = (2, 3, -1.5)


def measure(atoms):
    """OVITO's pipeline, and what it finds: structure by template matching, surface and volume by a mesh."""
    from ovito.data import DataCollection
    from ovito.modifiers import ColorCodingModifier, ConstructSurfaceModifier, PolyhedralTemplateMatchingModifier
    from ovito.pipeline import Pipeline, StaticSource

    data = DataCollection()
    low, high = atoms[:, :3].min(axis=0) - 20, atoms[:, :3].max(axis=0) + 20
    data.create_cell(np.column_stack([np.diag(high - low), low]), pbc=(False, False, False)).vis.enabled = False
    particles = data.create_particles(count=len(atoms))
    particles.create_property("Position", data=atoms[:, :3])
    particles.create_property("Radius", data=np.full(len(atoms), 1.35))
    particles.create_property("Phase", data=atoms[:, 3])
    pipeline = Pipeline(source=StaticSource(data=data))
    pipeline.modifiers.append(PolyhedralTemplateMatchingModifier())
    surface = ConstructSurfaceModifier(radius=PROBE_A, smoothing_level=0, identify_regions=True)
    surface.vis.enabled = False
    pipeline.modifiers.append(surface)
    pipeline.modifiers.append(ColorCodingModifier(property="Phase", gradient=ColorCodingModifier.Viridis()))
    found = pipeline.compute().attributes
    return pipeline, {
        "fcc_share": found["PolyhedralTemplateMatching.counts.FCC"] / len(atoms),
        "hcp_share": found["PolyhedralTemplateMatching.counts.HCP"] / len(atoms),
        "surface_nm2": found["ConstructSurfaceMesh.surface_area"] / 100,
        "volume_nm3": found["ConstructSurfaceMesh.filled_volume"] / 1000,
    }


def draw(pipeline, path):
    """Atoms coloured by their phase, by OVITO's software ray tracer."""
    from ovito.vis import TachyonRenderer, Viewport

    pipeline.add_to_scene()
    view = Viewport(type=Viewport.Type.Perspective, camera_dir=VIEW_FROM)
    view.zoom_all(size=(PICTURE_PX, PICTURE_PX))
    view.render_image(filename=path, size=(PICTURE_PX, PICTURE_PX), renderer=TachyonRenderer())


def main(atoms, result, picture):
    pipeline = None
    try:
        pipeline, found = measure(np.load(atoms))
    except ImportError as error:
        found = {"missing": str(error)}
    except Exception as error:
        found = {"failed": str(error)}
    with open(result, "w") as file:
        json.dump(found, file)
    if pipeline is not None:
        draw(pipeline, picture)


if __name__ == "__main__":
    main(*sys.argv[1:])
