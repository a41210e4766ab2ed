"""`python -m models`: list the runs, read a card, check whether a run or a model can be trusted, publish a run."""

import argparse
import json
import os
import re
import sys
import warnings
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from models import CHECKPOINTS, Card, ModelError, Run, load, names
from models.command import status_of
from models.describe import facts, logits, network
from models.quiet import import_keras
from models.store import WEIGHTS, resolve

REPO = re.compile(r"[\w.-]+/[\w.-]+")
BLOCK = re.compile(r"block(\d+[a-z])_")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    asked = _parser().parse_args(arguments)
    # Keras warns, layer by layer, about files that are then refused in one sentence.
    warnings.filterwarnings("ignore", module="keras")
    return status_of(lambda: asked.run(asked), (ModelError,))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m models", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("list", help="the runs with their results").set_defaults(run=_list)

    card = commands.add_parser("card", help="everything that is known about a run")
    card.add_argument("name", metavar="TASK/RUN", help="or a folder, or hf://user/repo[@revision]")
    card.add_argument("--json", action="store_true", help="one line of JSON")
    card.set_defaults(run=_card)

    check = commands.add_parser("check", help="load a run or a model, and say whether it is what it should be")
    check.add_argument("name", metavar="FILE", help="TASK/RUN, a folder, a .keras file or hf://user/repo[@revision]")
    check.set_defaults(run=_check)

    publish = commands.add_parser("publish", help="put a run on the Hugging Face Hub")
    publish.add_argument("name", metavar="TASK/RUN", help="or a folder with a card")
    publish.add_argument("repo", metavar="user/repo", help="the repository, which is made if there is none")
    publish.add_argument("--dry-run", action="store_true", help="write the repository's files and upload nothing")
    publish.add_argument("--out", type=Path, metavar="DIR", help="where to write them (a dry run: out/USER--REPO)")
    publish.add_argument("--private", action="store_true", help="a new repository is for its owner alone")
    publish.add_argument("--license", metavar="NAME", help="the licence to state, such as apache-2.0")
    publish.set_defaults(run=_publish)
    return parser


def _list(_: argparse.Namespace) -> None:
    found = names(CHECKPOINTS)
    if not found:
        print(f"There are no runs in {CHECKPOINTS}.")
        return
    rows = [("run", "optimizer", "seed", "validation", "test", "size")]
    rows += [_row(name) for name in found]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip())


def _row(name: str) -> tuple[str, str, str, str, str, str]:
    folder = CHECKPOINTS / name
    weights = folder / WEIGHTS
    size = _size(weights.stat().st_size) if weights.is_file() else "no weights"
    try:
        card = Card.read(folder / "card.json")
    except ModelError:
        return name, "damaged card", "-", "-", "-", size
    optimizer = f"{card.optimizer.get('name', '-')} {card.optimizer.get('learning_rate', '')}".strip()
    validation, test = (_accuracy(card.results.get(split)) for split in ("validation", "test"))
    return name, optimizer, str(card.seed), validation, test, size


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


def _accuracy(result: Any) -> str:
    return f"{result['accuracy']:.4f}" if isinstance(result, dict) and "accuracy" in result else "-"


def _card(asked: argparse.Namespace) -> None:
    folder = resolve(asked.name, CHECKPOINTS)
    if folder.suffix == ".keras":
        raise ModelError(f"{folder.name} is a Keras file and has no card; check says what can be known about it.")
    card = Card.read(folder / "card.json")
    if asked.json:
        print(json.dumps(asdict(card), ensure_ascii=False))
        return
    print(card.name)
    for name, fact in facts(card).items():
        print(f"  {name:<18} {fact}")


def _check(asked: argparse.Namespace) -> None:
    place = resolve(asked.name, CHECKPOINTS)
    import_keras()
    run = load(place)
    for sentence in _of_keras_file(place, run) if place.suffix == ".keras" else _of_run(run.card):
        print(sentence)


def _of_run(card: Card) -> list[str]:
    """What `load` has found to be true of a run, and what could not be checked."""
    return [
        f"{card.name} can be used: {network(card)}.",
        f"The weights are those of its card (sha256 {card.sha256[:12]})."
        if card.sha256
        else "Its card has no sha256, so the weights may be others.",
        "It gives the logits of its card on the fixed picture."
        if card.fingerprint
        else "Its card has no fingerprint, so nothing says whether weights and graph belong together.",
    ]


def _of_keras_file(path: Path, run: Run) -> list[str]:
    blocks = sorted({found[1] for layer in _layers(run.model) if (found := BLOCK.match(layer.name))})
    return [
        f"{path.name} can be used: {run.model.name}, {run.input_size} px, {logits(run.card.units)}, "
        f"{sum(1 for _ in _layers(run.model))} layers.",
        f"It has {len(blocks)} blocks of an EfficientNet: {' '.join(blocks)}."
        if blocks
        else "It has no blocks of an EfficientNet, so its layers keep their own names.",
        "It has no card: its classes are only numbered, and nothing says whether the weights are right.",
    ]


def _layers(model: Any) -> Any:
    """Every layer, also those of models within the model."""
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from _layers(layer)
        else:
            yield layer


def _publish(asked: argparse.Namespace) -> None:
    from models.publish import FILES, upload, write

    if not REPO.fullmatch(asked.repo):
        raise ModelError(f"A repository on the Hub is named user/repo; {asked.repo!r} is not.")
    import_keras()
    with TemporaryDirectory() as temporary:
        written = asked.out or Path("out", asked.repo.replace("/", "--")) if asked.dry_run else asked.out
        folder = written or Path(temporary)
        card = write(asked.name, asked.repo, folder, asked.license)
        size = sum((folder / file).stat().st_size for file in FILES if (folder / file).is_file())
        if asked.dry_run:
            print(f"{folder} holds {card.name} as {asked.repo}, {_size(size)}; nothing was uploaded.")
            return
        commit = upload(folder, asked.repo, card, asked.private)
    print(f"{card.name} is published: hf://{asked.repo}@{commit}")


if __name__ == "__main__":
    sys.exit(main())
