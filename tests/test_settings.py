import os
import subprocess
import sys

import pytest
from pydantic import BaseModel, ConfigDict, Field

from cdipipe.errors import InputError
from cdipipe.settings import load_yaml, merge, parse_settings, read_text, unknown_name, validate


class Inner(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    every: int = Field(20, ge=1)


class Outer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    beta: float = Field(0.9, gt=0, le=1)
    iterations: int = 100
    shrink_wrap: Inner | None = None
    steps: list[Inner] = []


def test_pairs_become_nested_plain_data():
    got = parse_settings(["beta=0.5", "photons=1e7", "a.b.c=[1, x]", "a.b.d=true", "name=", "beta=0.7"])
    assert got == {"beta": 0.7, "photons": 1e7, "a": {"b": {"c": [1, "x"], "d": True}}, "name": None}
    assert isinstance(got["photons"], float)


@pytest.mark.parametrize("pairs", [["beta"], ["=3"], ["a..b=3"], ["a=1", "a.b=2"], ["a=[1"], ["a={b: 1, b: 2}"]])
def test_bad_pairs_are_refused_in_one_line(pairs):
    with pytest.raises(InputError, match="--set"):
        parse_settings(pairs)


def test_a_key_given_twice_is_refused_with_its_line():
    with pytest.raises(InputError, match=r"c\.yaml line 2: key 'a' is given twice"):
        load_yaml("a: 1\na: 2\n", "c.yaml")


def test_merge_keeps_what_it_does_not_replace():
    assert merge({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 9}, "d": {"e": 4}}) == {
        "a": {"b": 9, "c": 2},
        "d": {"e": 4},
    }


def test_valid_values_pass_and_large_floats_fit_integers():
    assert validate(Outer, {"iterations": 1e3, "shrink_wrap": {"every": 5}}, "m").iterations == 1000
    assert validate(Outer, None, "m").beta == 0.9


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        (
            {"betta": 1},
            "m.betta: unknown key 'betta' (did you mean 'beta'?); it takes beta, iterations, shrink_wrap, steps",
        ),
        (
            {"shrink_wrap": {"evry": 1}},
            "m.shrink_wrap.evry: unknown key 'evry' (did you mean 'every'?); it takes every",
        ),
        ({"steps": [{}, {"x": 1}]}, "m.steps[1].x: unknown key 'x'; it takes every"),
        ({"beta": 2}, "m.beta: input should be less than or equal to 1; got 2 (int)"),
        ({"iterations": "many"}, "m.iterations: input should be a valid integer"),
        (3, "m: expected a mapping of parameters; got 3 (int)"),
    ],
)
def test_complaints_name_the_place_and_what_is_allowed(mapping, message):
    with pytest.raises(InputError) as caught:
        validate(Outer, mapping, "m")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_unknown_names_come_with_a_guess():
    assert (
        str(unknown_name("method", "hoi", ["hio", "er"]))
        == "unknown method 'hoi' (did you mean 'hio'?); known: hio, er"
    )


def test_no_torch():
    code = "import sys, cdipipe.settings; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize(
    "text",
    ["2021-13-45", "0x_", "0b_", "!!int a", "!!float a", "!!bool maybe", "!!timestamp a", "9" * 5000, "[" * 2000],
    ids=lambda text: text[:12],
)
def test_text_that_only_looks_like_a_value_is_one_line(text):
    with pytest.raises(InputError, match=r"^--set size: ") as error:
        parse_settings([f"size={text}"])
    assert len(str(error.value)) < 200


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/full", "pipe", "folder"])
def test_settings_are_read_from_regular_files_only(tmp_path, name):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="not a regular file"):
        read_text(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        read_text(tmp_path / "none")
