"""What programs and agents can call: `/predict` and `/explain`."""

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import gradio as gr
import guard
from gradio import processing_utils
from gradio.data_classes import FileData
from gradio_client.utils import is_file_obj_with_meta, is_http_url_like
from PIL import Image

from explain import ExplainError, Explanation, LayerError, PhotoError, comparison
from models import ModelError
from ui import runs as shown
from ui import warm_up
from ui.noted import noted
from ui.viewer.payload import numbers

MOST_BYTES = 20_000_000
"""The largest file that is taken as a photograph."""


class Sent(FileData):
    """A file that was uploaded, or the address of one."""

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> Any:
        """Say what is wrong in a sentence: pydantic's own would not reach the person."""
        if not is_file_obj_with_meta(obj):
            raise gr.Error("The photograph must be a file, or the address of one.", print_exception=False)
        return super().model_validate(obj, **options)


class Photograph(gr.File):
    """A file just as it was sent, with its name; whatever is no photograph gets the library's own sentence."""

    is_template = True

    def __init__(self, label: str) -> None:
        super().__init__(label=label)
        self.data_model = Sent

    def preprocess(self, payload: Any) -> Any:
        return payload

    async def async_move_resource_to_block_cache(self, url_or_file_path: Any) -> str | None:
        """Fetch an address within the limits of an upload; Gradio itself would take a file of any size."""
        if not is_http_url_like(url_or_file_path):
            return await super().async_move_resource_to_block_cache(url_or_file_path)
        try:
            content = await guard.fetch(url_or_file_path, MOST_BYTES)
        except guard.FetchError as error:
            raise gr.Error(str(error), print_exception=False) from None
        name = Path(urlsplit(url_or_file_path).path).name[-80:] or "photograph"
        return processing_utils.save_bytes_to_cache(content, name, self.GRADIO_CACHE)


def plainly(function: Callable) -> Callable:
    """Answer whatever goes wrong with one plain sentence; what nobody foresaw goes to the log under a number."""

    @wraps(function)
    def answer(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except gr.Error:
            raise
        except (ExplainError, ModelError) as error:
            raise gr.Error(str(error), print_exception=False) from None
        except Exception as error:
            raise gr.Error(noted(error), print_exception=False) from None

    return answer


@plainly
def predict(photograph: Sent | None, runs: list[str] | None) -> dict[str, dict[str, float]]:
    """Say what each training of the network sees in a photograph: the probability of every class.

    Args:
        photograph: A photograph in any usual format, at most 20 MB and 40 megapixels, as a URL or a data URL.
        runs: The trainings to ask, by name, such as cats_vs_dogs/sgd and cats_vs_dogs/adam. Without any: the first two.

    Returns:
        For each training, the probability of each class.
    """
    picture, _ = _read(photograph)
    return _probabilities(shown.explain(picture, _usable(_list(runs, "runs"))))


@plainly
def explain(
    photograph: Sent | None, runs: list[str] | None, layers: list[str] | None, targets: list[str] | None
) -> tuple[dict[str, dict[str, float]], str, str]:
    """Show where each training of the network looks in a photograph, layer by layer, and how far they agree.

    Args:
        photograph: A photograph in any usual format, at most 20 MB and 40 megapixels, as a URL or a data URL.
        runs: The trainings to ask, by name, such as cats_vs_dogs/sgd and cats_vs_dogs/adam. Without any: the first two.
        layers: The layers to look at, from the input (stem) to the head (top). Without any: all of them.
        targets: The classes to show the evidence for, such as cat. Without any: the one that the first training sees.

    Returns:
        For each training, the probability of each class.
        An npz file of logits, probabilities and maps, <task>/<run>/hires_cam/<layer>/<target>, in units of the logit.
        A picture: all trainings side by side at every layer, for the first target.
    """
    picture, name = _read(photograph)
    names, wanted = _usable(_list(runs, "runs")), _list(targets, "targets")
    found = shown.explain(picture, names, wanted or None)
    first = found[names[0]]
    kept = _layers(first, _list(layers, "layers"))
    found = {run: _only(one, kept, wanted or [first.top]) for run, one in found.items()}
    stem = Path(name).stem or "photograph"
    with TemporaryDirectory() as folder:
        maps, picture = Path(folder) / f"{stem}.npz", Path(folder) / f"{stem}.png"
        maps.write_bytes(numbers(found))
        comparison.picture(name, found).save(picture)
        return _probabilities(found), _kept(maps), _kept(picture)


def _kept(file: Path) -> str:
    """In Gradio's own folder, from which a file goes after a while.

    It is copied there whole or not at all: who asks the same at the same time is sent the same file, and what Gradio
    makes of bytes or of a picture would be cut short under the one who came first.
    """
    return processing_utils.save_file_to_cache(file, gr.utils.get_upload_folder())


def _list(names: Any, what: str) -> list[str]:
    """A list of names, each once, from whatever a program sent."""
    names = [names] if isinstance(names, str) else names or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise gr.Error(f"The {what} must be a list of names.", print_exception=False)
    return list(dict.fromkeys(names))


def _read(photograph: Sent | None) -> tuple[Image.Image, str]:
    if photograph is None:
        raise PhotoError("There is no photograph: send one.")
    path = Path(photograph.path)
    name = photograph.orig_name or path.name
    return shown.read(path.read_bytes(), name), name


def _usable(names: list[str]) -> list[str]:
    """The runs asked for, loaded; not a path and not a name on the Hub, which `models.load` would take."""
    known = shown.cards()
    for name in names:
        if name not in known:
            raise ModelError(f"There is no run {name!r}; the runs here are: {', '.join(known) or 'none'}.")
    names = names or [*pair()]
    warm_up.wait()
    fit, sentences = shown.usable(names)
    if sentences or not fit:
        raise ModelError(sentences[0] if sentences else "There are no runs here.")
    return fit


def pair() -> list[str]:
    """The two runs that are shown where nobody chose any."""
    return shown.runs_of(shown.tasks()[0])[:2] if shown.tasks() else []


def _probabilities(found: dict[str, Explanation]) -> dict[str, dict[str, float]]:
    return {
        name: {label: float(value) for label, value in zip(one.labels, one.probabilities, strict=True)}
        for name, one in found.items()
    }


def _layers(found: Explanation, names: list[str]) -> list[str]:
    known = [layer.name for layer in found.layers]
    for name in names:
        if name not in known:
            raise LayerError(f"There is no layer {name!r}; the layers are: {', '.join(known)}.")
    return [name for name in known if not names or name in names]


def _only(found: Explanation, layers: list[str], targets: list[str]) -> Explanation:
    rows = [found.targets.index(target) for target in targets]
    maps = {method: {layer: values[layer][rows] for layer in layers} for method, values in found.maps.items()}
    return replace(found, targets=tuple(targets), maps=maps, evidence=None)
