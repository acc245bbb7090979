"""Makes what a benchmark needs beside itself, in a temporary folder, and runs it.

python benchmarks/prepared.py cdi_nn_3d [-o FILE]            a corpus as benchmarks/results/cdi_nn_3d.json names it
python benchmarks/prepared.py cdi_nn_3d_networks [-o FILE]   the same, for the study's networks once it has run
python benchmarks/prepared.py gold_network [-o FILE]         the measured crystal, 64^3 (needs CDIPIPE_DATA_DIR)
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import record

HERE = Path(__file__).parent
DATASET = "aps34idc_s54"
CRYSTAL = ["--stack=volume", "--threshold=2", "--crop=64,64,64"]


def cdipipe(*words: str) -> None:
    """A command of the package; its failure ends everything."""
    subprocess.run([sys.executable, "-m", "cdipipe.cli.main", *words], check=True)


def changed(given: dict, default: dict, head: str = "") -> dict[str, object]:
    """Parameters that are not as they are by default, nested ones with dots."""
    found: dict[str, object] = {}
    for key, value in given.items():
        if isinstance(value, dict) and isinstance(default.get(key), dict):
            found |= changed(value, default[key], f"{head}{key}.")
        elif key not in default or value != default[key]:
            found[f"{head}{key}"] = value
    return found


def unseen_volumes(folder: Path) -> list[str]:
    """The corpus that the record was measured on, made again from its seed; arguments of the benchmark."""
    from cdipipe.simulation.registry import get_scene

    known = json.loads((record.RESULTS / "cdi_nn_3d.json").read_text())
    corpus, count = known["corpus"], known["errors"]["volumes"]
    default = get_scene(corpus["kind"]).parameters().model_dump(mode="json")
    values = changed(corpus["parameters"], default)
    settings = [
        f"--set={key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in values.items()
    ]
    path = str(folder / "unseen")
    cdipipe("corpus", corpus["kind"], "-o", path, f"--count={count}", f"--seed={corpus['seed']}", *settings)
    return [path, f"--count={count}", f"--iterate={known['iterate'].get('volumes', 4)}"]


def gold_crystal(folder: Path) -> list[str]:
    """The rocking curve of the gold crystal, imported; arguments of the benchmark."""
    from cdipipe.io.datasets.downloads import fetch

    place, path = fetch(DATASET), str(folder / "gold.cxi")
    counts, whitefield = str(place / "S54_counts_201x256x256_int32.npz"), str(place / "whitefield.tif")
    cdipipe("import", counts, f"--whitefield={whitefield}", *CRYSTAL, "-o", path)
    return [path]


def networks_of_study(folder: Path) -> list[str]:
    """The unseen corpus, and the networks that config/papers/cdi_nn_3d.yaml trained; arguments of the benchmark."""
    study = HERE.parent / "results/cdi_nn_3d"
    if not any(study.glob("*/best.pt")):
        raise SystemExit(f"{study}: no trained networks; first make run CONFIG=config/papers/cdi_nn_3d.yaml")
    return [*unseen_volumes(folder)[:2], f"--study={study}"]


NEEDS = {
    "cdi_nn_3d": ("cdi_nn_3d.py", unseen_volumes),
    "cdi_nn_3d_networks": ("cdi_nn_3d.py", networks_of_study),
    "gold_network": ("gold_network.py", gold_crystal),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=NEEDS)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    output = ["-o", str(arguments.output)] if arguments.output else []
    with tempfile.TemporaryDirectory() as folder:
        script, prepare = NEEDS[arguments.what]
        subprocess.run([sys.executable, str(HERE / script), *prepare(Path(folder)), *output], check=True)


if __name__ == "__main__":
    main()
