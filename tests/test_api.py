"""The face for Python: five lines from a file to a picture, and the command line's errors."""

import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

import cdipipe as cdi


@pytest.fixture(scope="module")
def simulated():
    return cdi.simulate("polygons", seed=1, size=48, photons=1e6, with_truth=True)


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys, time; t = time.perf_counter(); import cdipipe; took = time.perf_counter() - t; "
        "assert took < 0.1, took; assert not {'torch', 'numpy', 'pydantic'} & set(sys.modules); "
        "assert 'reconstruct' in dir(cdipipe)"
    )
    subprocess.run([sys.executable, "-S", "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})


def test_the_five_lines(tmp_path, simulated):
    measurement, truth = simulated
    cdi.save(tmp_path / "M.cxi", measurement)
    m = cdi.load(tmp_path / "M.cxi")
    r = cdi.reconstruct(m, "raar", restarts=4, iterations=60)
    table = str(cdi.evaluate(r, m))
    assert "r_factor" in table.split("\n")[0]
    figure = cdi.plot(r, m, truth, path=tmp_path / "object.png")
    assert isinstance(figure, Figure) and figure._repr_png_().startswith(b"\x89PNG")
    assert (tmp_path / "object.png").stat().st_size > 1000


def test_it_does_what_the_command_line_does(tmp_path, cli, simulated):
    measurement, _ = simulated
    settings = ["--set", "iterations=30", "--restarts", 2, "--seed", 3]
    cdi.save(tmp_path / "M.cxi", measurement)
    assert cli("reconstruct", tmp_path / "M.cxi", "-m", "hio", *settings, "-o", tmp_path / "R.cxi").code == 0
    mine = cdi.reconstruct(measurement, "hio", iterations=30, restarts=2, seed=3)
    assert np.array_equal(mine.object, cdi.load(tmp_path / "R.cxi").object)


@pytest.mark.parametrize(
    "recipe",
    ["er", "5*ER", "{method: er, iterations: 5}", "method: er\niterations: 5", {"method": "er", "iterations": 5}],
    ids=["name", "sequence", "flow", "yaml", "mapping"],
)
def test_a_recipe_is_a_name_a_text_or_a_mapping(simulated, recipe):
    settings = {"iterations": 5} if recipe == "er" else {}
    result = cdi.reconstruct(simulated[0], recipe, seed=2, **settings)
    assert result.method == "er" and result.error_trace.shape[-1] == 5


def test_a_result_can_be_gone_on_from(simulated):
    rough = cdi.reconstruct(simulated[0], "10*HIO")
    better = cdi.reconstruct(simulated[0], "20*ER", start=rough)
    assert better.run_scores["r_factor"][0] < rough.run_scores["r_factor"][0]


def test_a_record_says_what_it_is(simulated):
    measurement, truth = simulated
    result = cdi.reconstruct(measurement, "er", iterations=5, restarts=3)
    assert repr(measurement).startswith("Measurement(single (48, 48), 9.997e+05 photons, 100 % measured, no geometry")
    assert repr(truth) == "Truth(single (48, 48) complex, no geometry)"
    assert "er, single (48, 48) complex, R-factor 0." in repr(result) and "best of 3 starts" in repr(result)
    for record in (measurement, truth, result):
        assert len(repr(record)) < 300
        assert "data:image/png;base64," in record._repr_html_()


def test_units_in_the_line_of_a_measurement(simulated):
    from dataclasses import replace

    geometry = replace(simulated[0].geometry, energy_ev=8000.0, distance_m=2.0)
    text = repr(replace(simulated[0], geometry=replace(geometry, pixel_y_m=55e-6, pixel_x_m=55e-6)))
    assert "8 keV, 2 m, detector pixel 55 um, object pixel 117.4 nm" in text  # 1.5498e-10 * 2 / (48 * 55e-6)


def test_npy_counts_are_imported(tmp_path, simulated):
    np.save(tmp_path / "counts.npy", simulated[0].intensity)
    assert cdi.load(tmp_path / "counts.npy").intensity.shape == (48, 48)
    assert cdi.load(tmp_path / "counts.npy", bin=(2,)).intensity.shape == (24, 24)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m: cdi.load("nowhere.cxi"), "nowhere.cxi: No such file"),
        (lambda m: cdi.load("nowhere.npy"), "nowhere.npy"),
        (lambda m: cdi.load("nowhere.npy", binn=2), "binn"),
        (lambda m: cdi.reconstruct(m, "hi0"), "did you mean 'hio'"),
        (lambda m: cdi.reconstruct("M.cxi", "hio"), "expected a Measurement first; got str"),
        (lambda m: cdi.reconstruct(m, "hio", beeta=1), "did you mean 'beta'"),
        (lambda m: cdi.reconstruct(m, "{method: [", seed=1), "recipe"),
        (lambda m: cdi.reconstruct(m, "hio", device="tpu"), "expected auto, cpu or cuda"),
        (lambda m: cdi.simulate("polygon"), "did you mean 'polygons'"),
        (lambda m: cdi.simulate("polygons", sise=32), "did you mean 'size'"),
        (lambda m: cdi.plot(3), "got int"),
        (lambda m: cdi.save("m.npy", m), "cdipipe writes .cxi files"),
        (lambda m: cdi.save("m.cxi", 3), "got int"),
    ],
)
def test_errors_are_those_of_the_command_line(simulated, call, words):
    with pytest.raises(cdi.InputError) as caught:
        call(simulated[0])
    assert words in str(caught.value)
    assert caught.value._render_traceback_() == [f"cdipipe: {' '.join(str(caught.value).split())}"]


def test_an_unknown_name_lists_what_there_is():
    with pytest.raises(AttributeError, match="it has InputError"):
        cdi.reconstuct  # noqa: B018
