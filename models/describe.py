"""A card in words: one line for each thing that is known about a run."""

from typing import Any

from models.card import Card

_FIT = {"crop": "the square in the middle", "squash": "the whole picture, squashed"}


def facts(card: Card) -> dict[str, str]:
    """What a card says, by name, for a person; what it does not say is left out."""
    seen, training = card.preprocessing, card.training
    found = {
        "network": network(card),
        "sees": _joined(
            _FIT.get(seen.get("fit", "")),
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
            *(
                f"{part['n']} for {split}"
                for split, part in card.data.items()
                if isinstance(part, dict) and "n" in part
            ),
        ),
        **{f"{split} results": _pairs(found, but="sha256") for split, found in card.results.items()},
        "took": f"{card.seconds / 60:.0f} min on {card.machine}" if card.machine else None,
        "made by": card.command,
        "sha256": card.sha256,
        "fingerprint": ", ".join(map(str, card.fingerprint)),
    }
    return {name: fact for name, fact in found.items() if fact}


def network(card: Card) -> str:
    """The network, what it takes and what it tells apart."""
    labels = ", ".join(card.labels[:10]) + (f" and {len(card.labels) - 10} more" if len(card.labels) > 10 else "")
    return f"{card.architecture}, {card.input_size} px, {logits(card.units)} for {labels}"


def logits(units: int) -> str:
    """How many logits, in words."""
    return "1 logit" if units == 1 else f"{units} logits"


def _joined(*words: Any) -> str:
    return ", ".join(str(word) for word in words if word)


def _pairs(values: dict[str, Any], but: str = "") -> str:
    return ", ".join(
        f"{key.replace('_', ' ')} {value:.6g}" if isinstance(value, float) else f"{key.replace('_', ' ')} {value}"
        for key, value in values.items()
        if key != but
    )
