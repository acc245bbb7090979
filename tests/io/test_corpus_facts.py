"""What the card of a corpus says of its samples beyond light and phase."""

import math

from cdipipe.io.corpus.facts import gather_facts


def test_numbers_have_ranges_and_words_are_counted():
    records = [
        {"extra": {"atoms": 10, "loads": ["bend", "fault"], "hkl": [1, 1, 1], "strain": [0, 1, 2, 3, 4, 5.0]}},
        {"extra": {"atoms": 30, "loads": ["bend"], "hkl": [2, 0, 0], "strain": [None] * 6, "converged": True}},
        {"extra": {"atoms": math.nan, "planes": [[1.0, 2.0]] * 26}},
        {},
    ]
    found = gather_facts(records)
    assert found["numbers"]["atoms"] == {"min": 10, "mean": 20, "max": 30, "known": 2}
    assert found["numbers"]["strain_xy"] == {"min": 3, "mean": 3, "max": 3, "known": 1}
    assert found["words"] == {"loads": {"bend": 2, "fault": 1}, "hkl": {"1 1 1": 1, "2 0 0": 1}}
    assert "converged" not in found["numbers"] and "planes" not in found["numbers"]
