"""Fit an untrained network to one pattern: what ``dip`` and ``lodip`` share.

``parameters`` what both are told, ``misfit`` the detector, ``outputs`` from channels to an object, ``scale`` how bright
it is, ``stopping`` when to end, ``start`` one network on the way, ``finish`` what the
counts add at the end, ``fit`` the loop over the starts.
"""
