"""Any Keras 3 classifier as one flat float32 graph from pixels to logits.

Libraries that read `layer.output` of a nested backbone end in "Graph disconnected". Here a nested model is written out
again, layer by layer with the same weights, and the person's own model is never touched: no layer is called again, no
flag is set.
"""

import copy
import inspect
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

from explain.errors import LayerError
from explain.layers import Layer, layers_of
from explain.written import Written, write

# Keras' own operations that hand on what they are given, and those that are linear themselves.
PASSING = ("Concatenate", "Dropout", "Flatten", "Identity", "Reshape", "Squeeze")
LINEAR = ("Add", "Average", "AveragePooling2D", "BatchNormalization", "GlobalAveragePooling2D", "Rescaling", "Subtract")


@dataclass(frozen=True)
class Network:
    """A classifier ready to be explained.

    Attributes:
        size: S, in pixels.
        units: U.
        explains: `logits`, or `outputs` where the model ends in something that is neither linear nor can be undone.
        squash: what makes probabilities of what is explained: `sigmoid`, for each unit by itself, `softmax`, for all
            together, or `none`, as they are probabilities; `unknown` where only their values can tell whether they are.
        build: gives `model`, when something first asks for it.
        kept: its layers and what is written of all of them, where they are known without the model.
    """

    size: int
    units: int
    explains: str
    squash: str
    build: Callable[[], Any] = field(repr=False)
    kept: tuple[tuple[Layer, ...], Written] | None = field(default=None, repr=False)

    @cached_property
    def model(self) -> Any:
        """Flat functional `keras.Model` from pixels (B, S, S, 3) to logits (B, U)."""
        return self.build()

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """What `explain.layers.layers_of` finds in the model, and raises."""
        return self.kept[0] if self.kept else layers_of(self.model)

    def written(self, layers: Sequence[str]) -> Written:
        """The network with the maps of these layers.

        Raises:
            EngineError: if it is no EfficientNet that can be written as a graph.
        """
        if self.kept and self.kept[1].layers == tuple(layers):
            return self.kept[1]
        return write(self.model, layers, self.size)


def network_of(model: Any, output: str | None = None) -> Network:
    """Write a classifier as one flat graph that ends in logits, for any number of pictures at once.

    A model that is flat and float32 already shares its layers with the result; a nested one, or one of mixed
    precision, is copied with its weights as they are now. Of layers that share a name, in models that were built by
    themselves, the later ones get that of their model in front.

    Args:
        model: a Keras 3 `Model`: functional or sequential, flat or nested to any depth.
        output: the name of the output to explain, for models with several.

    Raises:
        LayerError: if the model is subclassed, was never built, does not take one square colour picture, does not end
            in one row of numbers for each picture, or would mix up other numbers of pictures than one.
    """
    import keras

    if not isinstance(model, keras.Model):
        hint = ": give its .model" if isinstance(getattr(model, "model", None), keras.Model) else ""
        raise LayerError(f"{type(model).__name__} is not a Keras model{hint}.")
    if not getattr(model, "inputs", None):
        raise LayerError("This is not a Keras model with a known graph: build it with an Input, not as a subclass.")
    if len(model.inputs) != 1 or len(model.inputs[0].shape) != 4 or model.inputs[0].shape[-1] != 3:
        raise LayerError(f"{model.name} does not take one colour picture (rows, columns, 3).")
    height, width = model.inputs[0].shape[1:3]
    if height and width and height != width:
        raise LayerError(f"{model.name} takes pictures of {height} x {width} pixels; only squares are explained.")
    flat = model if _is_flat(model) else _flatten(model)
    end = _output(flat, model, output)
    logits, explains = _logits(flat, end)
    if len(logits.shape) != 2:
        raise LayerError(f"{model.name} ends in an output of shape {tuple(logits.shape)}, not in one row of logits.")
    if logits.shape[0] is not None:
        raise LayerError(
            f"{model.name} reshapes to {logits.shape[0]} pictures at once, and would mix up any other number: write -1 "
            "for theirs."
        )
    units = int(logits.shape[-1])
    if _are_probabilities(end):
        squash = _squash(end) or "none"
    elif units == 1:
        squash = "sigmoid"
    else:
        squash = "softmax" if explains == "logits" else "unknown"
    ready = keras.Model(flat.inputs[0], logits, name=flat.name)
    return Network(int(flat.inputs[0].shape[1] or 224), units, explains, squash, lambda: ready)


def _is_flat(model: Any) -> bool:
    import keras

    return (
        model.inputs[0].shape[1] is not None
        and model.inputs[0].shape[0] is None
        and not isinstance(model, keras.Sequential)
        and not any(isinstance(layer, keras.Model) for layer in model.layers)
        and all(layer.dtype_policy.name == "float32" for layer in model.layers)
        # A layer's `output` is that of its first call, which may be in another model.
        and all(len(operation._inbound_nodes) == 1 for operation in model.operations)
    )


def _flatten(model: Any) -> Any:
    """A flat float32 copy of a nested model, with its weights."""
    import keras

    side = next((size for size in model.inputs[0].shape[1:3] if size), 224)
    copies: dict[int, tuple[Any, Any]] = {}
    image = keras.Input((side, side, 3), name="image")
    taken = {"image"}

    def copied(layer: Any, within: Any) -> Any:
        # What is called twice stays one layer with one set of weights.
        if id(layer) in copies:
            return copies[id(layer)][1]
        fresh = _like(layer)
        while fresh.name in taken:
            fresh.name = f"{within.name}_{fresh.name}"
        taken.add(fresh.name)
        copies[id(layer)] = layer, fresh
        return fresh

    def call(part: Any, within: Any, *arguments: Any, **options: Any) -> Any:
        options.pop("training", None)
        return run(part, *arguments) if isinstance(part, keras.Model) else copied(part, within)(*arguments, **options)

    def run(part: Any, inputs: Any) -> Any:
        if isinstance(part, keras.Sequential):
            for layer in part.layers:
                inputs = call(layer, part, inputs)
            return inputs
        if not getattr(part, "inputs", None):
            raise LayerError(f"{part.name} is a subclass without a known graph, so its layers cannot be followed.")
        return part._run_through_graph(inputs, operation_fn=lambda operation: partial(call, operation, part))

    try:
        flat = keras.Model(image, run(model, image), name=model.name)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise LayerError(f"{model.name} cannot be written as one graph: {str(error).splitlines()[0]}") from error
    for old, fresh in copies.values():
        if not isinstance(fresh, keras.layers.Layer):
            continue
        fresh.set_weights(old.get_weights())
        if isinstance(fresh, keras.layers.Normalization) and fresh.built:
            fresh.finalize_state()
    return flat


def _like(layer: Any) -> Any:
    """Such a layer in float32, with weights of its own; or such a function, without its calls."""
    import keras

    if not isinstance(layer, keras.layers.Layer):
        function = copy.copy(layer)
        function._inbound_nodes, function._outbound_nodes = [], []
        return function
    if is_quantised(layer):
        raise LayerError(f"The weights of {layer.name} are quantised: give the model as it was before model.quantize.")
    with warnings.catch_warnings():
        # Of a lambda that is written down; nobody reads it.
        warnings.simplefilter("ignore", UserWarning)
        config = layer.get_config()
    if "dtype" in config:
        config["dtype"] = "float32"
    for key in config:
        # A function of the person's own is at hand, but was registered nowhere, so that its name gives none.
        value = vars(layer).get(key)
        if inspect.isfunction(value) and not value.__module__.startswith("keras."):
            config[key] = value
    if isinstance(layer, keras.layers.Lambda):
        return type(layer)(**config | {"function": layer.function, "output_shape": layer._output_shape})
    return type(layer).from_config(config)


def is_quantised(layer: Any) -> bool:
    """Whether a layer's weights are whole numbers of its own, which stand for others."""
    import keras

    return isinstance(getattr(layer, "dtype_policy", None), keras.dtype_policies.QuantizedDTypePolicy)


def _output(flat: Any, model: Any, name: str | None) -> Any:
    names = list(getattr(model, "output_names", None) or [model.name])
    if name is None:
        if len(names) > 1:
            raise LayerError(f"{model.name} has several outputs ({', '.join(names)}): say which one to explain.")
        return flat.outputs[0]
    if name not in names:
        raise LayerError(f"{model.name} has no output called {name!r}; it has: {', '.join(names)}.")
    return flat.outputs[names.index(name)]


def _logits(flat: Any, output: Any) -> tuple[Any, str]:
    """The tensor before a final sigmoid or softmax, be it a layer or a function; any other output as it is."""
    import keras

    last = output._keras_history.operation
    if _squash(output) and not _is_own(last, "Dense"):
        return last.input, _explains(last.input)
    if _squash(output):
        config = last.get_config() | {"activation": "linear"}
        plain = keras.layers.Dense.from_config(config)
        logits = plain(last.input)
        # Nothing shall hang on the person's own layers afterwards.
        last.input._keras_history.operation._outbound_nodes.pop()
        plain.set_weights(last.get_weights())
        return logits, "logits"
    return output, _explains(output)


def _squash(output: Any) -> str | None:
    return squash_of(output._keras_history.operation)


def squash_of(last: Any) -> str | None:
    """`sigmoid` or `softmax` where a layer or function ends in one that can be undone."""
    import keras

    if _is_own(last, "Softmax", "Sigmoid"):
        return type(last).__name__.lower()
    activation = getattr(last, "activation", None) if _is_own(last, "Activation", "Dense") else None
    return {keras.activations.sigmoid: "sigmoid", keras.activations.softmax: "softmax"}.get(activation)


def _are_probabilities(output: Any) -> bool:
    """Whether a tensor is a sigmoid or softmax handed on, its complement, or the mean of several, as of an ensemble."""
    import keras

    last = output._keras_history.operation
    if _squash(output) or (_is_own(last, "Activation", "Dense") and last.activation is keras.activations.hard_sigmoid):
        return True
    inputs = keras.tree.flatten(last.input)
    handed_on = _is_own(last, "Average", "Clip", *PASSING) or (_is_own(last, "Subtract") and len(inputs) == 1)
    return handed_on and all(map(_are_probabilities, inputs))


def _explains(output: Any) -> str:
    return "logits" if _is_linear(output) else "outputs"


def _is_linear(output: Any) -> bool:
    """Whether a tensor is a linear function of features, as far as can be told."""
    import keras

    last = output._keras_history.operation
    if hasattr(last, "activation"):
        return last.activation in (None, keras.activations.linear)
    inputs = keras.tree.flatten(last.input)
    if _is_own(last, *PASSING) or _is_scaling(last, inputs):
        return all(map(_is_linear, inputs))
    # The mean of several softmaxes, as of an ensemble, is linear in what has no gradient left.
    return _is_own(last, *LINEAR) and not any(map(_squash, inputs))


def _is_scaling(operation: Any, inputs: list[Any]) -> bool:
    """Whether it multiplies by a constant or divides by one, as logits by a temperature."""
    if _is_own(operation, "TrueDivide", "Divide"):
        return len(inputs) == 1 and operation._inbound_nodes[0].arguments.args[0] is inputs[0]
    return _is_own(operation, "Multiply") and len(inputs) == 1


def _is_own(operation: Any, *names: str) -> bool:
    """Whether it is one of Keras' own operations with these names; a person's class may do anything."""
    return type(operation).__name__ in names and type(operation).__module__.startswith("keras.")
