"""``cdipipe train``: a corpus or pairs of one's own in, a network's weights out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from cdipipe.errors import InputError


def command(
    network: Annotated[str, typer.Argument(help="see `cdipipe networks`")],
    output: Annotated[Path, typer.Option("-o", "--output", help="folder of the training")],
    corpus: Annotated[
        list[Path] | None,
        typer.Option(help="folder that `cdipipe corpus` made; repeated: several together, see the setting shares"),
    ] = None,
    pairs: Annotated[
        tuple[str, str] | None,
        typer.Option(help="samples of your own instead: patterns and objects, FILE[::KEY] each; npy h5 cxi"),
    ] = None,
    mask: Annotated[str | None, typer.Option(help="of --pairs: FILE[::KEY], nonzero = measured")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, repeated; see `cdipipe networks NAME`")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="go on with the training in the folder, if there is one")
    ] = False,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="replace a training with other settings, or of another corpus or version")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    devices: Annotated[int, typer.Option(min=1, help="processes, one GPU each, on every node")] = 1,
    nodes: Annotated[int, typer.Option(min=1, help="machines; started by SLURM or torchrun")] = 1,
) -> None:
    """Train a network on a corpus or on pairs of your own; best.pt is for `cdipipe reconstruct --checkpoint`."""
    from cdipipe.networks.registry import get_network

    chosen = get_network(network)
    wanted = _settings(chosen, settings or [])

    from cdipipe.io.corpus.several import plans_of
    from cdipipe.networks.sizes import check_module
    from cdipipe.ops.device import choose_device
    from cdipipe.provenance import collect
    from cdipipe.training.fit import fit
    from cdipipe.training.phases import check_phases
    from cdipipe.training.processes import make_fabric
    from cdipipe.training.run_folder import BEST, LAST, clear, find_last

    if output.exists() and not output.is_dir():
        raise InputError(f"{output}: not a folder; a training writes several files into one")
    check_module(chosen, wanted.network, f"{network}.network")
    samples = _open_samples(corpus or [], pairs, mask, wanted)
    for plan in plans_of(samples) if chosen.check_corpus is not None else []:
        chosen.check_corpus(plan, wanted)
    check_phases(samples, wanted)
    try:
        found = find_last(output, resume, network)
        if found is not None:
            wanted = _settings_to_resume(found, wanted, settings or [], samples, output, rebuild)
    except InputError:
        if not rebuild:
            raise
        found = None
        clear(output)
    fabric = make_fabric(wanted, choose_device(device, devices), devices, nodes)
    fabric.launch()
    try:
        best = fit(chosen, wanted, samples, output, fabric, found, collect())
    except KeyboardInterrupt:
        print(f"cdipipe: stopped by Ctrl-C; --resume goes on from {output / LAST}", file=sys.stderr)
        raise SystemExit(130) from None
    if fabric.is_global_zero:
        print(f"{output / BEST}: {network}, best loss {best:.5g}")


def _open_samples(corpora: list[Path], pairs: tuple[str, str] | None, mask: str | None, settings):
    """What is learned from.

    Raises
    ------
    InputError   neither a corpus nor pairs, or both
    """
    from cdipipe.io.corpus.pairs import open_pairs
    from cdipipe.io.corpus.read import open_corpus
    from cdipipe.io.corpus.several import join_corpora

    if bool(corpora) == (pairs is not None):
        raise InputError("train: give --corpus FOLDER or --pairs INTENSITY OBJECT, one of them")
    if pairs is None and mask is not None:
        raise InputError("--mask: belongs to --pairs; a corpus knows its masks")
    if pairs is not None:
        return open_pairs(*pairs, mask)
    if settings.samples == "fresh" and len(corpora) > 1:
        raise InputError("samples 'fresh' are drawn of the scene of one corpus; give one")
    return join_corpora([open_corpus(folder) for folder in corpora], settings.shares)


def _settings(network, pairs: list[str]):
    from cdipipe.settings import parse_settings, validate

    return validate(network.settings, parse_settings(pairs), network.name)


def _settings_to_resume(found, wanted, pairs: list[str], corpus, output: Path, same_code: bool):
    """The settings of the training that goes on; only the number of epochs may be another one than before.

    Raises
    ------
    InputError   other settings, another corpus, or with ``same_code`` other code than those of the training
    """
    from cdipipe.training.run_folder import code_of_training

    before = found.settings
    if same_code and found.training["code"] != code_of_training(found.network.name, corpus.scene):
        raise InputError(f"{output}: was begun by another version of the code")
    if corpus.card["digest"] != found.corpus["digest"]:
        raise InputError(f"{output}: was trained on other samples than {corpus.folder}; take those")
    if not pairs:
        return before
    theirs, ours = before.model_dump(), wanted.model_dump()
    for key, value in ours.items():
        if value != theirs[key] and key != "epochs":
            raise InputError(
                f"{output}: was begun with {key}: {theirs[key]}; got {value}; --resume may change epochs only"
            )
    return wanted
