"""The training loop: stopped at any moment it goes on with the same bits; several processes act as one."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch

from cdipipe.errors import InputError
from cdipipe.io.corpus.read import open_corpus
from cdipipe.networks.checkpoint import read_checkpoint
from cdipipe.networks.registry import get_network
from cdipipe.settings import validate
from cdipipe.training.batches import FreshBatches
from cdipipe.training.fit import fit
from cdipipe.training.processes import make_fabric

SMALL = {"network": {"widths": [4, 8], "batch_norm": False}, "batch_size": 8, "schedule": "constant"}
ASKED = [f"--set={key}={json.dumps(value)}" for key, value in SMALL.items()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A corpus of 80 small noise-free polygons, in chunks of 8."""
    from cdipipe.cli.main import run

    folder = tmp_path_factory.mktemp("polygons") / "corpus"
    options = ["--count", "80", "--chunk", "8", "--set", "size=32", "--set", "photons=0"]
    assert run(["corpus", "polygons", "-o", str(folder), *options]) == 0
    return folder


@pytest.fixture(scope="module")
def volumes(tmp_path_factory):
    from cdipipe.cli.main import run

    folder = tmp_path_factory.mktemp("volumes") / "corpus"
    options = ["--count", "8", "--set", "size=16", "--set", "dimensions=3", "--set", "object_size=8"]
    assert run(["corpus", "polygons", "-o", str(folder), *options]) == 0
    return folder


def train(folder, out, which="cdi_nn", resume=None, **settings):
    network = get_network(which) if isinstance(which, str) else which
    chosen = validate(network.settings, SMALL | settings, "test")
    return fit(network, chosen, open_corpus(folder), out, make_fabric(chosen), resume)


def weights(path):
    return read_checkpoint(path).weights


def same_bits(first, second) -> bool:
    one, two = weights(first), weights(second)
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def curve(folder):
    lines = [line.split("\t") for line in (folder / "curve.tsv").read_text().splitlines()]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]


def test_leaves_checkpoints_a_curve_and_settings(folder, tmp_path):
    state = torch.random.get_rng_state()
    best = train(folder, tmp_path / "run", epochs=3, photons=[1e4, 1e6])
    assert torch.equal(state, torch.random.get_rng_state())  # the caller's numbers go on as if nothing had been
    rows = curve(tmp_path / "run")
    assert [row["epoch"] for row in rows] == ["1", "2", "3"] and rows[-1]["samples"] == "216"
    losses = [float(row["validation_loss"]) for row in rows]
    assert min(losses) == pytest.approx(best, rel=1e-4) and losses[-1] < losses[0]
    assert json.loads((tmp_path / "run" / "settings.json").read_text())["photons"] == [1e4, 1e6]
    found = read_checkpoint(tmp_path / "run" / "best.pt", "cdi_nn")
    assert found.training == {} and found.corpus["digest"] == open_corpus(folder).card["digest"]
    assert list((tmp_path / "run" / "tensorboard").glob("events*"))


def test_same_seed_same_bits_and_another_seed_not(folder, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(folder, tmp_path / name, epochs=1, seed=seed, photons=[1e4, 1e6])
    assert same_bits(tmp_path / "a/last.pt", tmp_path / "b/last.pt")
    assert not same_bits(tmp_path / "a/last.pt", tmp_path / "c/last.pt")


def killed(command, when):
    """Run a command and kill it once ``when`` is true; False if it ended before."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not when():
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def test_killed_and_resumed_has_the_bits_of_one_that_never_stopped(cli, folder, tmp_path):
    settings = [*ASKED, "--set=epochs=20", "--set=checkpoint_steps=4", "--set=photons=[1e4, 1e6]"]
    settings += ["--set=schedule=cosine", "--set=network.batch_norm=true"]
    base = ["train", "cdi_nn", "--corpus", str(folder), "--device", "cpu", *settings]
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    command = [sys.executable, "-m", "cdipipe.cli.main", *base, "-o", str(broken)]

    def is_under_way():
        return (broken / "curve.tsv").exists() and len((broken / "curve.tsv").read_text().splitlines()) > 2

    assert killed(command, is_under_way)
    done = read_checkpoint(broken / "last.pt").training["position"]
    assert 1 <= done["epoch"] < 20
    assert cli(*base, "-o", broken, "--resume").code == 0
    assert cli(*base, "-o", whole).code == 0
    assert same_bits(broken / "last.pt", whole / "last.pt") and same_bits(broken / "best.pt", whole / "best.pt")
    timeless = [[{k: v for k, v in row.items() if k != "seconds"} for row in curve(f)] for f in (broken, whole)]
    assert timeless[0] == timeless[1]


def test_resumed_from_the_middle_of_an_epoch(folder, tmp_path):
    network = get_network("cdi_nn")
    whole = {"epochs": 2, "checkpoint_steps": 4, "photons": [1e4, 1e6]}
    train(folder, tmp_path / "whole", **whole)

    def stops(module, batch, settings):
        stops.left -= 1
        if stops.left < 0:
            raise KeyboardInterrupt
        return network.stages(settings)[0].loss(module, batch, settings)

    stops.left = 9 + 1 + 6  # an epoch, its validation, and six steps of nine
    broken = replace(network, stages=lambda s: (replace(network.stages(s)[0], loss=stops),))
    with pytest.raises(KeyboardInterrupt):
        train(folder, tmp_path / "broken", broken, **whole)
    last = read_checkpoint(tmp_path / "broken/last.pt")
    assert (last.training["position"]["epoch"], last.training["position"]["step"]) == (1, 4)
    train(folder, tmp_path / "broken", resume=last, **whole)
    assert same_bits(tmp_path / "broken/last.pt", tmp_path / "whole/last.pt")


def test_a_resumed_training_goes_on_with_its_average(folder, tmp_path):
    asked = {"photons": [1e4, 1e6], "average": 0.9}
    train(folder, tmp_path / "whole", epochs=3, **asked)
    train(folder, tmp_path / "broken", epochs=2, **asked)
    half = read_checkpoint(tmp_path / "broken/last.pt")
    assert any(not torch.equal(half.weights[name], value) for name, value in half.training["moving"].items())
    train(folder, tmp_path / "broken", resume=half, epochs=3, **asked)
    assert same_bits(tmp_path / "broken/last.pt", tmp_path / "whole/last.pt")
    assert read_checkpoint(tmp_path / "whole/best.pt").training == {}


def test_fresh_samples_are_new_in_each_epoch_and_resumable(folder, tmp_path):
    settings = validate(
        get_network("cdi_nn").settings,
        SMALL | {"samples": "fresh", "samples_per_epoch": 512, "vary": {"phase_range_rad": [0.5, 3.0]}},
        "test",
    )
    batches = FreshBatches(open_corpus(folder), ("object", "intensity"), settings, 0, 1)
    first, again, later = list(batches.read(0)), list(batches.read(0, 3)), next(iter(batches.read(1)))
    assert len(first) == batches.steps(0) == 64
    assert torch.equal(first[3]["object"], again[0]["object"])
    assert not torch.equal(first[0]["object"], later["object"])
    spans = [float(torch.angle(first[i]["object"][0]).abs().max()) for i in (0, 32)]
    assert spans[0] < 0.26 and spans[1] > 0.3
    assert torch.equal(first[40]["object"], next(iter(batches.read(0, 40)))["object"])


def test_stages_hold_what_is_not_theirs(volumes, tmp_path):
    small = {"network": {"heads": "shape_phase", "widths": [4], "size": 16}, "batch_size": 4, "epochs": 1}
    small |= {"learning_rate": 0.01, "flat_phases": True}
    network = get_network("cdi_nn_3d")
    states = []
    for count in (1, 2, 3, 4):
        stages = [1] * count + [0] * (4 - count)
        train(volumes, tmp_path / str(count), "cdi_nn_3d", **small, stage_epochs=stages)
        states.append(weights(tmp_path / str(count) / "last.pt"))
    settings = validate(network.settings, small, "test")
    with torch.random.fork_rng():
        from cdipipe.training.batches import derived_seed

        torch.manual_seed(derived_seed(0, 0))
        states.insert(0, network.build(settings.network).state_dict())

    def moved(before, after, part):
        names = [name for name in before if name.startswith(part) and name.endswith("weight")]
        return any(not torch.equal(before[name], after[name]) for name in names)

    seen = [[moved(a, b, part) for part in ("encoder", "phase", "shape")] for a, b in itertools.pairwise(states)]
    assert seen == [[True, False, True], [False, True, False], [True, True, False], [True, True, True]]
    assert [row["stage"] for row in curve(tmp_path / "4")] == ["shape", "phase", "phase_and_encoder", "all"]


@pytest.mark.parametrize("precision", [32, "32"])  # `--set precision=32` is a number
def test_bits_may_be_a_number(precision):
    assert get_network("cdi_nn").settings(precision=precision).precision == "32"


@pytest.mark.parametrize("settings", [{"asam_rho": 0.2, "clip_norm": 1.0}, {"precision": "bf16"}], ids=str)
def test_other_ways_of_stepping(folder, tmp_path, settings):
    train(folder, tmp_path / "run", epochs=3, optimiser="adamw", weight_decay=1e-4, learning_rate=3e-3, **settings)
    losses = [float(row["train_loss"]) for row in curve(tmp_path / "run")]
    assert losses[-1] < losses[0]
    assert {value.dtype for value in weights(tmp_path / "run/last.pt").values()} == {torch.float32}


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_checkpoint(folder, tmp_path):
    network = get_network("cdi_nn")

    def poisoned(module, batch, settings):
        poisoned.calls += 1
        loss, terms = network.stages(settings)[0].loss(module, batch, settings)
        return (loss * float("nan") if poisoned.calls > 13 else loss), terms  # one looks how much memory it takes

    poisoned.calls = 0
    bad = replace(network, stages=lambda s: (replace(network.stages(s)[0], loss=poisoned),))
    with pytest.raises(InputError, match=r"not a number any more in epoch 2, step 3 .* keeps the checkpoint before"):
        train(folder, tmp_path / "run", bad, epochs=3)
    last = read_checkpoint(tmp_path / "run/last.pt")
    assert last.training["position"]["epoch"] == 1
    assert all(bool(torch.isfinite(value).all()) for value in last.weights.values())


def test_two_processes_take_the_steps_of_one(cli, folder, tmp_path):
    """All 80 samples in one step, on one process or halved over two: the gradients are the same but for rounding."""
    settings = [
        "--set=network.widths=[4, 8]",
        "--set=network.batch_norm=false",
        "--set=validation_share=0",
        "--set=epochs=4",
        "--set=seed=3",
    ]
    base = ["train", "cdi_nn", "--corpus", str(folder), "--device", "cpu", *settings]
    one, two = tmp_path / "one", tmp_path / "two"
    assert cli(*base, "-o", one, "--set", "batch_size=80").code == 0
    command = [sys.executable, "-m", "cdipipe.cli.main", *base, "-o", two, "--devices", "2", "--set", "batch_size=40"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([str(part) for part in command], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("best loss") == 1
    first, second = weights(one / "last.pt"), weights(two / "last.pt")
    for name in first:
        torch.testing.assert_close(first[name], second[name], atol=2e-4, rtol=0)
    assert (
        [row["samples"] for row in curve(two)] == [row["samples"] for row in curve(one)] == ["80", "160", "240", "320"]
    )
    assert float(curve(one)[-1]["train_loss"]) == pytest.approx(float(curve(two)[-1]["train_loss"]), rel=1e-3)


def test_a_training_can_start_from_the_weights_of_another(folder, tmp_path):
    train(folder, tmp_path / "first", epochs=1)
    first = tmp_path / "first" / "best.pt"
    asked = {"network": SMALL["network"] | {"corrector": [4]}, "learns": "corrector", "start_from": str(first)}
    train(folder, tmp_path / "second", epochs=1, **asked)
    card = (tmp_path / "second" / "card.md").read_text()
    for part in (
        "# cdi_nn\n",
        "`corrector=[4]`",
        '`learns="corrector"`',
        "samples, digest `",
        "**Samples seen**",
        "steps",
    ):
        assert part in card, part
    assert "seed=" not in card and "data_share" not in card  # as by default
    before, after = weights(first), weights(tmp_path / "second" / "best.pt")
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert after["corrector.last.weight"].abs().max() > 0
    again = asked | {"start_from": str(tmp_path / "second" / "best.pt"), "keeps_statistics": True}
    train(folder, tmp_path / "unrolled", epochs=1, **again | {"network": asked["network"] | {"passes": 3}})
    unrolled, moved = weights(tmp_path / "unrolled" / "best.pt"), "corrector.down.0.1.running_mean"
    assert not torch.equal(before_norm := after["corrector.last.weight"], unrolled["corrector.last.weight"])
    assert moved in after and torch.equal(after[moved], unrolled[moved]) and before_norm.isfinite().all()
    with pytest.raises(ValueError, match="keeps_statistics needs start_from"):
        train(folder, tmp_path / "third", epochs=1, keeps_statistics=True)
    with pytest.raises(InputError, match="none of its weights fits"):
        train(folder, tmp_path / "third", epochs=1, network={"widths": [5]}, start_from=str(first))
