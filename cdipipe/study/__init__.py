"""Studies: many measurements, many methods, and what came out.

``config`` reads a study's file and checks it; ``tree`` and ``entries`` say what it may hold, ``scales``, ``grids`` and
``names`` what its short forms stand for. ``tables``, ``rankings``, ``distributions`` and ``objects`` collect results
from its folder, ``drawing`` makes a figure of them with the ``draw_`` modules, ``report`` a page. ``run`` belongs to
the workflow.
"""
