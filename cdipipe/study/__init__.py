"""Studies: configuration, tables, distributions, report."""
