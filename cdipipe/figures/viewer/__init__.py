"""Results to look into with a browser: slices with sliders, zoom and values, and surfaces that turn. Needs no network.

=============  =================================================================================
``content``    what is shown of an object or a strained crystal, as plain data
``surface``    the surface of a volume, coloured, as glTF
``page``       a page of its own, and the parts that a page of several views has once
``viewer.js``  slices in the browser; ``viewer.css`` how they look
=============  =================================================================================
"""

from cdipipe.figures.viewer.content import crystal_view, object_view
from cdipipe.figures.viewer.page import as_json, parts, write_page

__all__ = ["as_json", "crystal_view", "object_view", "parts", "write_page"]
