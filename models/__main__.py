"""`python -m models`: list the runs, read a card, check whether a run or a model can be trusted."""

import argparse
import json
import os
import re
import sys
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from models import CHECKPOINTS, Card, ModelError, Run, load, names
from models.quiet import import_keras
from models.store import WEIGHTS, resolve

BLOCK = re.compile(r"block(\d+[a-z])_")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    asked = _parser().parse_args(arguments)
    # Keras warns, layer by layer, about files that are then refused in one sentence.
    warnings.filterwarnings("ignore", module="keras")
    try:
        asked.run(asked)
    except ModelError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 2
    return 0


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
    size = f"{weights.stat().st_size / 1e6:.1f} MB" if weights.is_file() else "no weights"
    try:
        card = Card.read(folder / "card.json")
    except ModelError:
        return name, "damaged card", "-", "-", "-", size
    optimizer = f"{card.optimizer.get('name', '-')} {card.optimizer.get('learning_rate', '')}".strip()
    validation, test = (_accuracy(card.results.get(split)) for split in ("validation", "test"))
    return name, optimizer, str(card.seed), validation, test, size


def _accuracy(result: Any) -> str:
    return f"{result['accuracy']:.4f}" if isinstance(result, dict) and "accuracy" in result else "-"


def _card(asked: argparse.Namespace) -> None:
    folder = resolve(asked.name, CHECKPOINTS)
    if folder.suffix == ".keras":
        raise ModelError(f"{folder.name} is a Keras file and has no card; check says what can be known about it.")
    card = Card.read(folder / "card.json")
    print(json.dumps(asdict(card), ensure_ascii=False) if asked.json else _described(card))


def _described(card: Card) -> str:
    """The card for a person: one fact a line, leaving out what it does not say."""
    seen, training = card.preprocessing, card.training
    facts = {
        "network": _network(card),
        "sees": _joined(
            {"crop": "the square in the middle", "squash": "the whole picture, squashed"}.get(seen.get("fit", "")),
            seen.get("source_size") and f"at {seen['source_size']} px before",
            seen.get("pixels") and f"pixels {seen['pixels']}",
        ),
        "started from": _joined(*(str(value) for value in card.base_weights.values())),
        "optimizer": _joined(card.optimizer.get("name"), _pairs(card.optimizer, but="name")),
        "why this rate": training.get("why_this_rate"),
        "stages": "; ".join(_pairs(stage) for stage in training.get("stages", ())),
        "training": _pairs(
            {key: value for key, value in training.items() if not isinstance(value, dict | list | str)}
            | {"seed": card.seed, "epochs": card.epochs}
        ),
        "augmentation": _pairs(training.get("augmentation", {})),
        "data": _joined(
            card.data.get("hub"),
            *(f"{part['n']} for {split}" for split, part in card.data.items() if isinstance(part, dict)),
        ),
        **{f"{split} results": _pairs(found, but="sha256") for split, found in card.results.items()},
        "took": f"{card.seconds / 60:.0f} min on {card.machine}" if card.machine else None,
        "made by": card.command,
        "sha256": card.sha256,
        "fingerprint": ", ".join(map(str, card.fingerprint)),
    }
    lines = [f"  {name:<18} {fact}" for name, fact in facts.items() if fact]
    return "\n".join([card.name, *lines])


def _network(card: Card) -> str:
    labels = ", ".join(card.labels[:10]) + (f" and {len(card.labels) - 10} more" if len(card.labels) > 10 else "")
    return f"{card.architecture}, {card.input_size} px, {_units(card.units)} for {labels}"


def _units(units: int) -> str:
    return "1 logit" if units == 1 else f"{units} logits"


def _joined(*words: Any) -> str:
    return ", ".join(str(word) for word in words if word)


def _pairs(values: dict[str, Any], but: str = "") -> str:
    return ", ".join(
        f"{key.replace('_', ' ')} {value:.6g}" if isinstance(value, float) else f"{key.replace('_', ' ')} {value}"
        for key, value in values.items()
        if key != but
    )


def _check(asked: argparse.Namespace) -> None:
    place = resolve(asked.name, CHECKPOINTS)
    import_keras()
    run = load(place)
    for sentence in _of_keras_file(place, run) if place.suffix == ".keras" else _of_run(run.card):
        print(sentence)


def _of_run(card: Card) -> list[str]:
    """What `load` has found to be true of a run, and what could not be checked."""
    return [
        f"{card.name} can be used: {_network(card)}.",
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
        f"{path.name} can be used: {run.model.name}, {run.input_size} px, {_units(run.card.units)}, "
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


if __name__ == "__main__":
    sys.exit(main())
