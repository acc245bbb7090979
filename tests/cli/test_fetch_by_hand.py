import re

import pytest

from cdipipe.io.datasets import DATASETS
from cdipipe.io.datasets.manual import MANUAL_DATASETS


def test_the_list_names_where_each_set_is_and_what_to_do(cli):
    done = cli("fetch", "--list")
    assert done.code == 0
    for name in (*DATASETS, *MANUAL_DATASETS):
        assert re.search(rf"^{name}: ", done.out, re.MULTILINE)
    assert "https://doi.org/10.5281/zenodo.12144981" in done.out
    assert "https://cxidb.org/id-151.html" in done.out


@pytest.mark.parametrize("name", MANUAL_DATASETS)
def test_a_set_without_a_link_says_what_to_download_and_fails(cli, name):
    done = cli("fetch", name)
    assert done.code == 2
    assert "download by hand" in done.out and "https://" in done.out and "cdipipe " in done.out
    assert done.err.count("\n") == 1 and "nothing was downloaded" in done.err


def test_the_options_in_the_advice_exist(cli):
    for command in ("import", "simulate"):
        known = set(re.findall(r"--[a-z][a-z-]*", cli(command, "--help").out))
        uses = [part for d in MANUAL_DATASETS.values() if d.use.startswith(f"cdipipe {command}") for part in [d.use]]
        assert uses
        assert {option for use in uses for option in re.findall(r"--[a-z][a-z-]*", use)} <= known
