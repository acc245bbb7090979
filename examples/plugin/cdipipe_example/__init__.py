"""One of each that cdipipe takes from other packages. See ``docs/extending.md`` of cdipipe."""
