"""Reading HDF5 files of any origin and writing them whole; whatever is wrong with a file becomes an InputError."""

from cdipipe.io.hdf5.attributes import read_attribute
from cdipipe.io.hdf5.faults import READ_FAULTS, faults_are_input_errors, one_line
from cdipipe.io.hdf5.links import following
from cdipipe.io.hdf5.source import FAMILIES, Source, identity, open_source
from cdipipe.io.hdf5.writing import _Sink, create_file

__all__ = [
    "FAMILIES",
    "READ_FAULTS",
    "Source",
    "_Sink",
    "create_file",
    "faults_are_input_errors",
    "following",
    "identity",
    "one_line",
    "open_source",
    "read_attribute",
]
