"""``cdipipe reconstruct`` and ``cdipipe methods`` as a user calls them."""

import json
import os
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest

from cdipipe.io.cxi import read_reconstruction


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A simulated measurement in a folder of its own."""
    from cdipipe.cli.main import run

    folder = tmp_path_factory.mktemp("measured")
    names = ["-o", str(folder / "M.cxi"), "--truth", str(folder / "T.cxi")]
    assert run(["simulate", "polygons", *names, "--set", "size=64"]) == 0
    return folder / "M.cxi"


def test_a_result_tells_how_it_was_made(cli, measured, tmp_path):
    out = tmp_path / "R.cxi"
    chosen = ("--set", "iterations=20", "--set", "beta=0.8", "--set", "shrink_wrap.every=10")
    result = cli("reconstruct", measured, "-m", "hio", "-o", out, "--restarts", 3, "--seed", 5, "--keep-runs", *chosen)
    assert result.code == 0 and "R-factor" in result.out
    found = read_reconstruction(out)
    assert found.object.shape == (64, 64) and found.runs.shape == (3, 64, 64)
    assert found.method == "hio" and found.recipe["seed"] == 5 and found.recipe["shrink_wrap"]["every"] == 10
    assert found.recipe["steps"] == [{"hio": {"iterations": 20, "beta": 0.8, "er_every": 0}}]
    assert found.error_trace.shape == (3, 20) and found.seconds > 0
    assert set(found.provenance["inputs"]) == {"M.cxi"} and found.provenance["versions"]["torch"]


def test_the_recipe_of_a_result_repeats_it(cli, measured, tmp_path):
    import yaml

    first, recipe, again = tmp_path / "a.cxi", tmp_path / "r.yaml", tmp_path / "b.cxi"
    assert cli("reconstruct", measured, "-m", "raar", "-o", first, "--restarts", 2, "--set", "iterations=15").code == 0
    stored = read_reconstruction(first).recipe
    del stored["seed"], stored["free_fraction"]
    recipe.write_text(yaml.safe_dump({"studies": {"mine": stored}}))
    assert cli("reconstruct", measured, "--recipe", f"{recipe}::studies.mine", "-o", again).code == 0
    assert np.array_equal(read_reconstruction(first).object, read_reconstruction(again).object)


def test_goes_on_from_a_result_with_a_support_and_a_preview(cli, measured, tmp_path):
    first, second, picture = tmp_path / "a.cxi", tmp_path / "b.cxi", tmp_path / "live.png"
    assert cli("reconstruct", measured, "-m", "hio", "-o", first, "--set", "iterations=60").code == 0
    np.save(tmp_path / "support.npy", read_reconstruction(first).support)
    more = ("--init", first, "--support", tmp_path / "support.npy", "--preview", picture)
    slow = ("--set", "iterations=20", "--set", "shrink_wrap.every=0", "--set", "preview_every=10")
    assert cli("reconstruct", measured, "-m", "er", "-o", second, *more, *slow).code == 0
    before, after = read_reconstruction(first), read_reconstruction(second)
    assert after.run_scores["r_factor"][0] <= before.run_scores["r_factor"][0]
    assert np.array_equal(after.support, before.support)
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_a_stack_streams_and_tells_its_rate(cli, tmp_path):
    shots, out = tmp_path / "S.cxi", tmp_path / "R.cxi"
    assert cli("simulate", "polygons", "-o", shots, "--set", "size=32", "--set", "count=5").code == 0
    result = cli("reconstruct", shots, "-m", "hio", "-o", out, "--set", "iterations=10")
    assert "patterns/s" in result.out
    assert read_reconstruction(out).object.shape == (5, 32, 32)


def test_a_shot_without_photons_is_left_blank_and_the_others_are_kept(cli, tmp_path):
    counts = np.random.default_rng(1).poisson(5.0, (3, 32, 32)).astype(np.float32)
    counts[1] = 0
    with h5py.File(tmp_path / "M.cxi", "w") as file:
        file["entry_1/data_1/data"] = counts
    out = tmp_path / "R.cxi"
    result = cli("reconstruct", tmp_path / "M.cxi", "-m", "er", "-o", out, "--set", "iterations=5")
    assert result.code == 0 and "1 without photons left blank" in result.out
    found = read_reconstruction(out)
    assert not found.object[1].any() and found.object[0].any() and found.object[2].any()
    assert cli("evaluate", out, "--measurement", tmp_path / "M.cxi", "-o", tmp_path / "m.json").code == 0
    assert np.isfinite(
        [v for v in json.loads((tmp_path / "m.json").read_text()).values() if not isinstance(v, str)]
    ).all()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("-m", "hoi"), "unknown method 'hoi' (did you mean 'hio'?)"),
        (("-m", "hio", "--set", "betta=1"), "unknown key 'betta' (did you mean 'beta'?)"),
        (("-m", "hio", "--set", "beta=high"), "hio.beta"),
        (("-m", "hio", "--set", "beta"), "key=value"),
        (("-m", "hio", "--restarts", "0"), "restarts"),
        (("-m", "hio", "--restarts", "many"), "restarts"),
        ((), "give either -m METHOD or --recipe FILE"),
        (("-m", "hio", "--recipe", "x.yaml"), "not both"),
        (("--recipe", "missing.yaml"), "missing.yaml: No such file"),
        (("-m", "hio", "--device", "tpu"), "expected auto, cpu or cuda"),
        (("-m", "hio", "--free-fraction", "0.9"), "free fraction 0.9"),
        (("-m", "hio", "--init", "missing.cxi"), "missing.cxi"),
        (("-m", "hio", "--support", "missing.npy"), "missing.npy"),
        (("-m", "hio", "--checkpoint", "weights.pt"), "no weights"),
        (("-m", "hio", "--seed", "-1"), "seed"),
    ],
)
def test_wrong_options_get_one_line(cli, measured, tmp_path, arguments, message):
    out = tmp_path / "R.cxi"
    out.write_text("keep me")
    assert message in cli("reconstruct", measured, "-o", out, *arguments).complaint
    assert out.read_text() == "keep me" and list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize(
    "text, message",
    [
        ("sequence: 3*(20ER", "expected '*'"),
        ("{method: hio, betta: 1}", "unknown key 'betta'"),
        ("steps: [{hio: {betta: 1}}]", "steps[0].hio.betta"),
        ("[1, 2", "line"),
        ("just text", "expected a mapping"),
        ("", "expected a mapping"),
    ],
)
def test_a_wrong_recipe_file_gets_one_line(cli, measured, tmp_path, text, message):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(text)
    assert message in cli("reconstruct", measured, "--recipe", recipe, "-o", tmp_path / "R.cxi").complaint
    assert list(tmp_path.iterdir()) == [recipe]


def test_a_key_that_is_not_in_the_recipe_file_is_named(cli, measured, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("methods: {mine: {method: hio}}")
    complaint = cli("reconstruct", measured, "--recipe", f"{recipe}::methods.yours", "-o", tmp_path / "R.cxi").complaint
    assert "no key 'yours'" in complaint and "there is mine" in complaint


def write_cxi(path, data, mask=None):
    with h5py.File(path, "w") as file:
        file["entry_1/data_1/data"] = data
        if mask is not None:
            file["entry_1/instrument_1/detector_1/mask"] = mask
    return path


@pytest.mark.parametrize(
    "data, mask, message",
    [
        (np.zeros((32, 32), np.float32), None, ""),
        (np.full((32, 32), np.nan, np.float32), None, ""),
        (np.full((32, 32), -1, np.float32), None, ""),
        (np.ones((32, 32), np.float32), np.ones((32, 32), np.uint32), ""),
        (np.ones((32, 32), np.float32), np.zeros((31, 32), np.uint32), "(31, 32)"),
        (np.ones(32, np.float32), None, ""),
        (np.ones((2, 2, 4, 4), np.float32), None, ""),
    ],
    ids=["all zero", "all NaN", "all negative", "all masked", "mask of another shape", "rank 1", "rank 4"],
)
def test_a_measurement_without_use_gets_one_line(cli, tmp_path, data, mask, message):
    path = write_cxi(tmp_path / "M.cxi", data, mask)
    assert message in cli("reconstruct", path, "-m", "er", "-o", tmp_path / "R.cxi").complaint
    assert list(tmp_path.iterdir()) == [path]


def test_files_that_are_no_measurement_get_one_line(cli, measured, tmp_path):
    whole = measured.read_bytes()
    broken = {"cut.cxi": whole[: len(whole) // 2], "text.cxi": b"hello", "empty.cxi": b""}
    for name, content in broken.items():
        (tmp_path / name).write_bytes(content)
        assert name in cli("reconstruct", tmp_path / name, "-m", "er", "-o", tmp_path / "R.cxi").complaint
    truth = cli("reconstruct", measured.parent / "T.cxi", "-m", "er", "-o", tmp_path / "R.cxi").complaint
    assert "truth" in truth and not (tmp_path / "R.cxi").exists()


def test_places_that_cannot_be_written_are_named_before_the_work(cli, measured, tmp_path):
    long = ("-m", "er", "--set", "iterations=1000000")
    assert "does not exist" in cli("reconstruct", measured, *long, "-o", tmp_path / "no" / "R.cxi").complaint
    assert "folder" in cli("reconstruct", measured, *long, "-o", tmp_path).complaint
    assert "replace an input" in cli("reconstruct", measured, *long, "-o", measured).complaint


def test_ctrl_c_in_the_middle_leaves_nothing(measured, tmp_path):
    out = tmp_path / "R.cxi"
    out.write_text("keep me")
    command = [sys.executable, "-m", "cdipipe.cli.main", "reconstruct", str(measured), "-m", "hio", "-o", str(out)]
    preview = tmp_path / "live.png"
    command += ["--set", "iterations=100000000", "--restarts", "4", "--preview", str(preview)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 60
    while not preview.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, text = process.communicate(timeout=60)
    assert process.returncode == 130 and text.decode().strip().endswith("stopped by Ctrl-C; nothing was written")
    assert out.read_text() == "keep me" and set(tmp_path.iterdir()) <= {out, preview}


def test_methods_tells_every_parameter(cli):
    listed = json.loads(cli("methods", "--json").out)
    assert {"er", "hio", "raar", "dm", "poisson_ml"} <= set(listed)
    for name, record in listed.items():
        assert record["summary"] and "doi" in record["reference"]
        assert all(row["description"] for row in record["parameters"] + record["common"])
        assert cli("methods", name).code == 0
    assert "unknown method 'hoi'" in cli("methods", "hoi").complaint


def test_iterations_load_no_more_than_they_use(tmp_path):
    """The compiler of torch takes a second of the processor, several times what a small pattern takes."""
    program = (
        "import sys; from cdipipe.cli.main import run; assert run(sys.argv[1:]) == 0; "
        "unused = {'torch._dynamo', 'cdipipe.cli.train', 'cdipipe.io.importing.formats'}; "
        "unused |= {'scipy'} if sys.argv[1] == 'reconstruct' else set(); "
        "assert not unused & set(sys.modules), unused & set(sys.modules)"
    )
    source, result, recipe = tmp_path / "M.cxi", tmp_path / "R.cxi", tmp_path / "recipe.yaml"
    recipe.write_text("sequence: 4*HIO+4*RAAR+4*GPS+4*ER\n")
    calls = [
        ["simulate", "polygons", "-o", source, "--set=size=32"],
        ["reconstruct", source, "--recipe", recipe, "-o", result],
    ]
    for words in calls:
        subprocess.run([sys.executable, "-c", program, *map(str, words)], check=True, timeout=60)


def test_several_recipes_give_the_same_bits_as_each_alone(cli, measured, tmp_path):
    recipes, short = tmp_path / "study.yaml", ["--set=iterations=12", "--restarts=2", "--keep-runs"]
    recipes.write_text("methods: {one: {method: hio}, two: {method: raar}}\n")
    named = {name: f"--recipe={recipes}::methods.{name}" for name in ("one", "two")}
    assert cli("reconstruct", measured, *named.values(), *short, "-o", tmp_path / "both").code == 0
    for name, recipe in named.items():
        assert cli("reconstruct", measured, recipe, *short, "-o", tmp_path / "R.cxi").code == 0
        alone, beside = read_reconstruction(tmp_path / "R.cxi"), read_reconstruction(tmp_path / f"both/{name}/R.cxi")
        assert alone.recipe == beside.recipe and alone.runs.tobytes() == beside.runs.tobytes()


@pytest.mark.parametrize(
    "out, more, said",
    [
        ("R.cxi", [], "for 2 recipes give a folder"),
        ("both", ["--preview=p.png"], "shows one reconstruction; there are 2 recipes"),
        ("both", ["--recipe=again.yaml::er"], "two are called 'er'"),
    ],
)
def test_several_recipes_need_a_folder_and_names_of_their_own(cli, measured, tmp_path, monkeypatch, out, more, said):
    monkeypatch.chdir(tmp_path)
    for name, method in {"er": "er", "hio": "hio"}.items():
        (tmp_path / f"{name}.yaml").write_text(f"method: {method}\n")
    result = cli("reconstruct", measured, "--recipe=er.yaml", "--recipe=hio.yaml", *more, "-o", out)
    assert result.code == 2 and said in result.complaint
