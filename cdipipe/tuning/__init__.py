"""Settings of a method chosen for one measurement by withheld pixels and what other starts repeat; never by truth."""
