"""What is wrong with a model, said before anybody trusts a map of it."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import numpy as np

from explain import compiled, photo
from explain.engine_tensorflow import traced
from explain.errors import LayerError
from explain.layers import layers_of, passed_by_all
from explain.methods import DEFAULT

MOST_IMAGES = 16
"""More photographs say nothing new about a model and would make a check slow."""
BLANK = 2.0
"""A picture whose pixels spread less than this, in standard deviations of 0..255, shows nothing."""
NARROWEST = 0.1
"""Black and white are 1 apart or more where a network's first layer begins: 0..1, -1..1, or standardised."""
PIXELS_OFF = 2.0
"""Powers of ten between the variance that the first BatchNorm meets and the one that it remembers. Trained networks
stay within 0.3 on any photographs; pixels that are 255 times too large or too small make it 3 or more."""
WEIGHTS_OFF = 1.0
"""The same for the middle one of all BatchNorms, which trained networks keep within 0.3 even on blurred pictures."""
NEW = 0.1
"""Variances of a layer's channels that are less than this part of them apart, and not above 1, were never learned."""
SATURATED = 60.0
"""Logits of classes that are further apart than this leave no probability but 0 and 1, whatever the photograph."""
IMAGENET_SPREAD = np.array([0.229, 0.224, 0.225])


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: an `error` makes maps meaningless, a `warning` wants to be known."""

    severity: Literal["error", "warning"]
    sentence: str


@dataclass(frozen=True)
class _Facts:
    """What one forward pass of the photographs tells.

    `logits` (B, U); `norms` BatchNorm layers in the graph's order, `spread` for each of them the power of ten between
    the variance that it meets and the one that it remembers, median over its channels.
    """

    logits: np.ndarray
    norms: list[Any]
    spread: np.ndarray


def check(
    model: Any, images: Iterable[Any], labels: Sequence[str] | None = None, output: str | None = None
) -> tuple[Finding, ...]:
    """Look for what makes the maps of a model meaningless; an empty answer is a good one.

    Nothing of the model changes. The model is fed pixels in 0..255, as `Explainer` does it.

    Args:
        model: any Keras 3 classifier.
        images: photographs as for an `Explainer`, or one; best are several different ones, of the kind that the model
            was trained for. The first 16 are used; without any, only the graph and the weights are looked at.
        labels: class names in the order of the outputs.
        output: the name of the output to look at, for models with several.

    Raises:
        PhotoError: if a picture cannot be read.
    """
    from explain.network import network_of

    try:
        network = network_of(model, output)
    except LayerError as error:
        return (Finding("error", str(error)),)
    graph = [
        *_ending(network),
        *_finite_weights(network.model),
        *_untouched_weights(network.model),
        *_entrance(network.model),
        *_side_by_side(network.model),
    ]
    findings = [*_labels(labels, network.units), *graph]
    pictures = [photo.see(photo.read(image), network.size) for image in islice(photo.each(images), MOST_IMAGES)]
    # Whatever follows from a broken graph would only hide the cause.
    if pictures and all(finding.severity == "warning" for finding in graph):
        findings += _answers(model, network.model, np.stack(pictures).astype("float32"))
    return tuple(findings)


def _labels(labels: Sequence[str] | None, units: int) -> Iterator[Finding]:
    classes = max(2, units)
    if labels is not None and len(labels) != classes:
        yield _error(
            f"There are {len(labels)} labels, but the model tells {classes} classes apart: "
            "give one label for each class, in the order of the model's outputs."
        )


def _ending(network: Any) -> Iterator[Finding]:
    if network.explains != "logits":
        name = network.model.outputs[0]._keras_history.operation.name
        yield _warning(f"{name} cannot be undone, so maps explain the model's outputs: end the model in logits.")


def _side_by_side(model: Any) -> Iterator[Finding]:
    passed = passed_by_all(model)
    with suppress(LayerError):  # which the maps will tell
        if passed and not any(layer.keras_name in passed for layer in layers_of(model)):
            yield _warning(
                f"Maps show a part of the evidence only: {model.name} is made of branches side by side, which meet "
                "behind the last map; explain each as a model of its own."
            )


def _finite_weights(model: Any) -> Iterator[Finding]:
    broken = [one.name for one in model.layers if not all(np.isfinite(w).all() for w in one.get_weights())]
    if broken:
        yield _error(
            f"{_list(broken)} {_have(broken)} weights that are not numbers: "
            "the training diverged; take an earlier checkpoint, or train again with a lower learning rate."
        )


def _untouched_weights(model: Any) -> Iterator[Finding]:
    norms = _batch_norms(model)
    untouched = [norm.name for norm in norms if _is_untouched(norm)]
    if untouched:
        yield _error(
            f"{_list(untouched)} {_have(untouched)} the statistics of a new layer (mean 0, variance 1): "
            "the weights were never loaded, or come from another graph; load them into the graph that they were "
            "saved from."
        )
    head = model.outputs[0]._keras_history.operation
    if getattr(head, "bias", None) is not None and _is_untrained(head):
        yield _error(
            f"The last layer, {head.name}, still has the values that it began with, so predictions are noise: "
            "train it, or load its weights."
        )


def _is_untouched(norm: Any) -> bool:
    begun = {"gamma": 1, "beta": 0, "moving_mean": 0, "moving_variance": 1}
    weights = {name: getattr(norm, name, None) for name in begun}
    return all((np.asarray(w) == begun[name]).all() for name, w in weights.items() if w is not None)


def _is_new(norm: Any) -> bool:
    """Whether the variances are the 1 that they began with, or on their way down from it, one like the other."""
    variance = np.asarray(norm.moving_variance)
    return bool(variance.max() <= 1 + NEW and np.ptp(variance) <= NEW * variance.max())


def _is_untrained(dense: Any) -> bool:
    """Whether the bias is exactly zero, as no step of a training leaves it, and the kernel spread as it was drawn."""
    if not hasattr(dense, "kernel_initializer") or np.asarray(dense.bias).any():
        return False
    kernel = np.asarray(dense.kernel)
    drawn = np.asarray(dense.kernel_initializer(kernel.shape))
    return bool(np.isclose(kernel.std(), drawn.std(), rtol=0.15) and np.abs(kernel).max() <= 1.15 * np.abs(drawn).max())


def _entrance(model: Any) -> Iterator[Finding]:
    """How far apart black and white are where the first layer with a kernel begins."""
    import keras

    first = next((layer for layer in model.layers if getattr(layer, "kernel", None) is not None), None)
    if first is None:
        return
    size = model.inputs[0].shape[1]
    ends = np.stack([np.full((size, size, 3), value, "float32") for value in (0, 255)])
    black, white = np.asarray(keras.Model(model.inputs[0], first.input)(ends, training=False))
    apart = np.abs(white - black)
    if apart.ndim == 3:
        apart = apart[apart.shape[0] // 2, apart.shape[1] // 2]
    scaling = [layer.name for layer in _scaling(model, first)]
    if not apart.max() >= NARROWEST:
        yield _error(
            f"Pixels are scaled twice: black and white are only {apart.max():.2g} apart where {first.name} begins: "
            f"take one scaling out, of {f'{_list(scaling)} and ' if scaling else ''}what stands before."
        )
    elif apart.shape == (3,) and np.allclose(apart, IMAGENET_SPREAD**-0.5, rtol=0.01):
        yield _error(
            "The weights come from another graph: they are those of weights='imagenet', which has one more scaling "
            "layer than this model; build EfficientNet with weights='imagenet' to use them."
        )
    elif apart.shape == (3,) and np.allclose(apart, IMAGENET_SPREAD**-1.5, rtol=0.01):
        yield _error(
            "The weights come from another graph: this model was built with weights='imagenet', which adds a scaling "
            "layer that the weights already contain; build EfficientNet with weights=None and load them again."
        )


def _scaling(model: Any, first: Any) -> list[Any]:
    import keras

    before = model.layers[: model.layers.index(first)]
    return [layer for layer in before if isinstance(layer, keras.layers.Rescaling | keras.layers.Normalization)]


def _answers(model: Any, flat: Any, images: np.ndarray) -> Iterator[Finding]:
    """What the model makes of photographs (B, S, S, 3) in 0..255."""
    blank = [image.std() < BLANK for image in images]
    if all(blank):
        yield _warning("The pictures are blank, so little can be checked: give photographs.")
        return
    images = images[~np.array(blank)]
    facts = _measure(flat, images)
    if not np.isfinite(facts.logits).all():
        yield _error("Predictions are not numbers: an activation overflows; train again with a lower learning rate.")
        return
    remembered = list(_statistics(flat, facts)) or list(_saturation(flat, facts, images))
    if remembered:
        yield from remembered
        return
    yield from _constant(facts.logits)
    yield from _companions(model, images)
    yield from _maps(flat, images)


def _measure(flat: Any, images: np.ndarray) -> _Facts:
    import keras
    import tensorflow as tf

    norms = _batch_norms(flat)
    outputs = {norm.name: norm.input for norm in norms}
    whole = keras.Model(flat.inputs[0], {**outputs, "logits of the model": flat.outputs[0]})

    def run(pictures: Any) -> Any:
        found = whole(pictures, training=False)
        entering = [found[norm.name] for norm in norms]
        return found["logits of the model"], [
            tf.math.reduce_variance(x, axis=list(range(len(x.shape) - 1))) for x in entering
        ]

    # Traced, so that the activations of no more than one layer are kept.
    logits, variances = traced(run, tf.TensorSpec(images.shape, tf.float32))(images)
    spread = [
        np.median(np.log10(np.maximum(met, 1e-12) / np.maximum(np.asarray(norm.moving_variance), 1e-12)))
        for norm, met in zip(norms, variances, strict=True)
    ]
    return _Facts(logits.numpy(), norms, np.array(spread))


def _statistics(flat: Any, facts: _Facts) -> Iterator[Finding]:
    """Whether BatchNorm meets what it met in training."""
    import keras

    if not facts.norms:
        return
    astray = [norm for norm, off in zip(facts.norms, facts.spread, strict=True) if abs(off) > WEIGHTS_OFF]
    new = [norm.name for norm in astray if _is_new(norm)]
    if new and 2 * len(new) >= len(astray):
        yield _warning(
            f"{_list(new)} {_have(new)} nearly the statistics of a new layer (mean 0, variance 1), far from what "
            "photographs give: the training was too short to learn them, called the network with training=False, or "
            "they were not loaded; predictions may be noise."
        )
        return
    first, name = facts.spread[0], facts.norms[0].name
    scaling = _scaling(flat, facts.norms[0])
    if first > PIXELS_OFF:
        yield _error(
            f"Pixels are too large: {name} meets values {10 ** (first / 2):.0f} times as large as in training, as if "
            "trained on pixels in 0..1 and given 0..255; put Rescaling(1/255) in front of the model."
        )
    elif first < -PIXELS_OFF:
        yield _error(
            f"Pixels are too small: {name} meets values {10 ** (-first / 2):.0f} times smaller than in training, as "
            "if trained on pixels in 0..255 and given 0..1; take out the scaling in front of the network."
        )
    elif abs(first) > WEIGHTS_OFF / 2 and any(
        isinstance(one, keras.layers.Normalization)
        and not np.asarray(one.mean).any()
        and (np.asarray(one.variance) == 1).all()
        for one in scaling
    ):
        yield _error(
            "The Normalization layer has mean 0 and variance 1, and the weights were trained with others: they come "
            "from another graph; load them into the graph that they were saved from, Normalization included."
        )
    elif np.median(np.abs(facts.spread)) > WEIGHTS_OFF:
        worst = facts.norms[int(np.abs(facts.spread).argmax())].name
        yield _error(
            "The weights come from another graph, the photographs are of another kind, or the training was too short: "
            f"most BatchNormalization layers meet other values than in training, {worst} above all; load weights and "
            "graph that were saved together."
        )


def _saturation(flat: Any, facts: _Facts, images: np.ndarray) -> Iterator[Finding]:
    """The same question for a network without BatchNorm, which remembers nothing: by its answers alone."""
    if facts.norms or _scaling(flat, flat.layers[-1]):
        return
    loud = np.median(_range(facts.logits))
    quiet = np.median(_range(np.asarray(flat(images / 255, training=False))))
    if loud > SATURATED and quiet < SATURATED / 4:
        yield _warning(
            f"Pixels are probably too large: classes are {loud:.0f} apart in units of the logit; if the model was "
            "trained on pixels in 0..1, put Rescaling(1/255) in front of it."
        )


def _range(logits: np.ndarray) -> np.ndarray:
    """How far apart the classes are, for each photograph."""
    return np.abs(2 * logits[:, 0]) if logits.shape[1] == 1 else np.ptp(logits, axis=1)


def _constant(logits: np.ndarray) -> Iterator[Finding]:
    if len(logits) > 1 and np.ptp(logits, axis=0).max() <= 1e-3 * np.abs(logits).max():
        yield _error(
            f"The prediction is the same for {len(logits)} photographs, so the model does not see them: check how "
            "pixels are scaled and whether all weights were loaded."
        )


def _companions(model: Any, images: np.ndarray) -> Iterator[Finding]:
    """Whether a photograph's prediction depends on chance, or on the others in its batch."""
    import keras

    trained, state = (
        [one.value for one in group] for group in (model.trainable_variables, model.non_trainable_variables)
    )

    def first(*pictures: np.ndarray) -> np.ndarray:
        # Stateless, so that neither BatchNorm nor a seed of the model is changed by a check.
        nonlocal state
        outputs, state = model.stateless_call(trained, state, np.stack(pictures))
        return np.concatenate([np.asarray(one[0], "float32").ravel() for one in keras.tree.flatten(outputs)])

    alone, again, accompanied = first(images[0]), first(images[0]), first(images[0], 255 - images[0])
    tolerance = 5e-3 * np.abs(alone).max()
    if np.abs(alone - again).max() > tolerance:
        yield _error(
            "The same photograph gets another prediction each time: Dropout, or a network with it, is called with "
            "training=True; build the graph with training=False."
        )
    elif np.abs(alone - accompanied).max() > tolerance:
        yield _error(
            "A photograph's prediction changes with the others in its batch: BatchNormalization is called with "
            "training=True; build the graph with training=False."
        )


def _maps(flat: Any, images: np.ndarray) -> Iterator[Finding]:
    from explain.explainer import Explainer

    try:
        explainer = Explainer(flat, graphs=compiled.NOWHERE)
    except LayerError as error:
        yield _error(str(error))
        return
    broken, blank = set(), {layer.name for layer in explainer.layers}
    for image in images[:2]:
        with np.errstate(invalid="ignore"):
            found = explainer(image.astype("uint8"))
        for layer, maps in found.maps[DEFAULT].items():
            if not np.isfinite(maps).all():
                broken.add(layer)
            if np.any(maps):
                blank.discard(layer)
    for names, words in ((broken, "hold values that are not numbers"), (blank - broken, "are blank")):
        if names:
            layers = _list([layer.name for layer in explainer.layers if layer.name in names])
            yield _error(
                f"Maps of {layers} {words}, as no gradient comes through from the score: look for dead, cut or "
                "overflowing layers behind, or explain other layers."
            )


def _batch_norms(model: Any) -> list[Any]:
    import keras

    return [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _have(names: Sequence[str]) -> str:
    return "has" if len(names) == 1 else "have"


def _error(sentence: str) -> Finding:
    return Finding("error", sentence)


def _warning(sentence: str) -> Finding:
    return Finding("warning", sentence)
