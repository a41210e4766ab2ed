"""A run as a repository on the Hugging Face Hub: Keras' own layout, what is known about it, and a model card.

The root of the repository is what `keras.saving.save_model("hf://user/repo")` makes of the same network
(`config.json`, `metadata.json`, `model.weights.h5`), so that Keras alone can load it; `card.json` beside it is what
`models.load` trusts.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from models import hub, store
from models.card import Card
from models.describe import facts
from models.errors import ModelError

FILES = (
    "README.md",
    "card.json",
    "config.json",
    "history.csv",
    "labels.json",
    "metadata.json",
    store.WEIGHTS,
)
"""What a repository holds; nothing else that lies in the folder is uploaded."""

PAGE = """
# {name}

{network}. One of the trainings that Parallax compares: the same EfficientNet, trained with different optimizers.

```python
import keras

model = keras.saving.load_model("hf://{repo}")  # pixels 0..255, (B, {size}, {size}, 3) -> {outputs}
```

With Parallax, which checks the weights against their card first:

```python
import explain, models

run = models.load("hf://{repo}")
explainer = explain.Explainer(run.model, labels=run.labels)
```

## What is known about it

| | |
| --- | --- |
{facts}

`card.json` holds all of it, `history.csv` the curves, `labels.json` the classes in the order of the outputs. Weights
are stored as float16 and computed with as float32.

## Limits

It tells {labels} apart and knows nothing else: a photograph of something else gets one of these labels too, often with
confidence. Logits come out, no probabilities: {probabilities}.
"""


def write(name: str, repo: str, folder: Path, license: str | None = None) -> Card:
    """Write a run as a repository's files.

    Args:
        name: `<task>/<run>`, a folder with a card, or `hf://user/repo[@revision]`.
        repo: `user/repo`, which the model card names.
        folder: where to; what was written of the same run before is replaced.
        license: the Hub's short name of the licence, if the run has one.

    Raises:
        ModelError: if the run is missing or is not what its card says, the folder holds files of somebody else, or it
            cannot be written.
    """
    source = store.resolve(name)
    if not (source / "card.json").is_file():
        raise ModelError(f"{name} has no card, and nothing is published without one.")
    run = store.load(source)
    if folder.resolve() == source.resolve() or not _is_free(folder, run.card):
        raise ModelError(
            f"{folder} holds files that are not of {run.card.name} as it was published; name another folder."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".publish-", dir=folder) as temporary:
            made = Path(temporary, "run")
            _write_network(run.model, made)
            for file in ("card.json", "history.csv", store.WEIGHTS):
                if (source / file).is_file():
                    shutil.copyfile(source / file, made / file)
            labels = json.dumps(run.labels, indent=2, ensure_ascii=False)
            (made / "labels.json").write_text(labels + "\n", encoding="utf-8")
            (made / "README.md").write_text(str(page(run.card, repo, license)), encoding="utf-8")
            for file in FILES:
                if (made / file).is_file():
                    (made / file).replace(folder / file)
    except OSError as error:
        raise ModelError(f"{folder} cannot be written: {error.strerror or error}.") from error
    return run.card


def _is_free(folder: Path, card: Card) -> bool:
    """Whether nothing is lost in a folder: a run's own has no labels.json, and its weights are not made again."""
    there = [file for file in FILES if (folder / file).exists()]
    try:
        return not there or ("labels.json" in there and Card.read(folder / "card.json").name == card.name)
    except ModelError:
        return False


def _write_network(model: Any, folder: Path) -> None:
    import keras

    # Whoever loads it with Keras alone may want to train it further.
    model.trainable = True
    keras.saving.save_model(model, folder, zipped=False)


def page(card: Card, repo: str, license: str | None = None) -> Any:
    """The `huggingface_hub.ModelCard` of a run."""
    from huggingface_hub import ModelCard, ModelCardData

    data = ModelCardData(
        library_name="keras",
        pipeline_tag="image-classification",
        tags=["image-classification", "parallax", card.architecture.lower(), *_optimizer(card)],
        datasets=[card.data["hub"]] if "hub" in card.data else None,
        license=license,
        metrics=["accuracy"],
        model_name=card.name,
        eval_results=list(_results(card)) or None,
    )
    one = card.units == 1
    told = facts(card)
    text = PAGE.format(
        name=_plain(card.name),
        repo=repo,
        size=card.input_size,
        network=_plain(told.pop("network")),
        outputs=f'(B, 1) logit of "{card.labels[-1]}"' if one else f"(B, {card.units}) logits",
        facts="\n".join(f"| {_plain(fact)} | {_plain(value)} |" for fact, value in told.items()),
        labels=_plain(", ".join(card.labels)),
        probabilities="the sigmoid makes one of the logit" if one else "the softmax makes them of the logits",
    )
    return ModelCard(f"---\n{data.to_yaml()}\n---\n{text}")


def _optimizer(card: Card) -> Iterator[str]:
    if "name" in card.optimizer:
        yield str(card.optimizer["name"]).lower()


def _results(card: Card) -> Iterator[Any]:
    """What each split says: the best of the history is a choice, not a result."""
    from huggingface_hub import EvalResult

    hub = str(card.data.get("hub", card.task))
    for split, found in card.results.items():
        if split == "best" or not isinstance(found, dict):
            continue
        for metric in ("accuracy", "loss"):
            if metric in found:
                yield EvalResult(
                    task_type="image-classification",
                    dataset_type=hub,
                    dataset_name=f"{hub}, {found['n']} pictures of a split of our own" if "n" in found else hub,
                    dataset_split=split,
                    metric_type=metric,
                    metric_value=found[metric],
                )


def _plain(text: str) -> str:
    """Text that a Markdown table shows as it is."""
    return " ".join(text.split()).translate({ord(sign): f"\\{sign}" for sign in "\\`*_{}[]<>|#"})


def upload(folder: Path, repo: str, card: Card, private: bool = False) -> str:
    """Upload a folder that `write` has made.

    Args:
        folder: the files.
        repo: `user/repo`; made where there is none.
        card: names the run in the commit's message.
        private: whether a new repository is for its owner alone.

    Returns:
        The commit's hash.

    Raises:
        ModelError: if there is no token, the Hub cannot be reached, or the repository is somebody else's.
    """
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    if get_token() is None:
        raise ModelError("There is no token for the Hub: log in with `hf auth login`, or set HF_TOKEN.")
    api = HfApi(library_name="parallax")
    try:
        api.create_repo(repo, private=private or None, exist_ok=True)
        done = api.upload_folder(
            repo_id=repo, folder_path=folder, allow_patterns=list(FILES), commit_message=f"Publish {card.name}"
        )
    except HFValidationError:
        raise ModelError(f"{repo!r} cannot be the name of a repository on the Hub; it is user/repo.") from None
    except OfflineModeIsEnabled:
        raise ModelError("The Hub is switched off by HF_HUB_OFFLINE, so nothing was published.") from None
    except HfHubHTTPError as error:
        raise ModelError(_refusal(repo, error.response.status_code)) from error
    except Exception as error:
        # Whatever its transports raise when a line breaks: they share no class.
        raise ModelError(f"The Hub cannot be reached or broke off, so {repo} was not published; try again.") from error
    return done.oid


def _refusal(repo: str, status: int) -> str:
    if status == 401:
        return hub.TOKEN_REFUSED
    if status in (403, 404):
        return f"{repo} on the Hub is not yours to write: name one of your own, or use a token that may write there."
    return f"{repo} was not published: the Hub answered {status}; try again later."
