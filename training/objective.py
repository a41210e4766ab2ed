"""What a stage minimises, and with which optimizer and rate."""

from collections.abc import Callable
from typing import Any

from training.recipe import Plan, Recipe, Stage, TrainingError

BACKENDS = ("tensorflow", "jax", "torch")
"""Of Keras, those that train; NumPy and OpenVINO only compute."""


def prepare(model: Any, recipe: Recipe, plan: Plan, stage: Stage, steps: int) -> None:
    """Compile a network, or the rest of one, for a stage of so many steps an epoch.

    Where the recipe asks for L2, the loss is the sum of cross-entropy and L2, and the metric `cross_entropy` has the
    former alone.

    Raises:
        TrainingError: if Keras' backend cannot train, or there is no such optimizer.
    """
    import keras

    backend = keras.backend.backend()
    if backend not in BACKENDS:
        raise TrainingError(f"Keras cannot train with KERAS_BACKEND={backend}, only with {', '.join(BACKENDS)}.")
    loss = cross_entropy(recipe.units, recipe.label_smoothing)
    if recipe.units == 1:
        metrics: list[Any] = [keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0)]
    else:
        metrics = [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]
    if recipe.l2:
        metrics.append(keras.metrics.MeanMetricWrapper(loss, name="cross_entropy"))
        penalise(model, recipe.l2)
    optimizer = _optimizer(recipe, plan, stage, steps)
    optimizer.build(model.trainable_variables)
    # TensorFlow has its own graphs, which need no compiler; JAX without one runs operation by operation.
    model.compile(optimizer=optimizer, loss=loss, metrics=metrics, jit_compile=backend == "jax")


def cross_entropy(units: int, smoothing: float) -> Callable[[Any, Any], Any]:
    """The cross-entropy (B,) of logits (B, units) with class indices (B,), in nats.

    With smoothing the wanted distribution is (1 - smoothing) of the class and smoothing of all classes alike
    (Szegedy et al., Rethinking the Inception Architecture, 2016, section 7).
    """
    import keras

    def one(labels: Any, logits: Any) -> Any:
        labels = keras.ops.cast(keras.ops.reshape(labels, (-1, 1)), logits.dtype)
        return keras.losses.binary_crossentropy(labels, logits, from_logits=True, label_smoothing=smoothing)

    def several(labels: Any, logits: Any) -> Any:
        wanted = keras.ops.one_hot(keras.ops.reshape(labels, (-1,)), units, dtype=logits.dtype)
        return keras.losses.categorical_crossentropy(wanted, logits, from_logits=True, label_smoothing=smoothing)

    return one if units == 1 else several


def penalise(model: Any, l2: float) -> None:
    """Add l2 times the summed squares of every trained kernel to the loss; biases and BatchNorm, vectors, are left out.

    What is frozen has no part in it: it would only raise the loss by a constant.
    """
    import keras

    for variable in model.trainable_variables:
        if len(variable.shape) > 1:
            variable.regularizer = keras.regularizers.L2(l2)


def _optimizer(recipe: Recipe, plan: Plan, stage: Stage, steps: int) -> Any:
    import keras

    chosen = plan.optimizer
    peak = chosen.rate * stage.rate
    total = steps * stage.epochs
    rate: Any = peak
    if chosen.schedule == "cosine":
        # A rise begins at nothing: of a few steps, one that rises would be lost, and of a single one all.
        warmup = min(round(total * recipe.warmup), total - 1)
        cosine = keras.optimizers.schedules.CosineDecay
        rate = cosine(0.0, total - warmup, warmup_target=peak, warmup_steps=warmup) if warmup else cosine(peak, total)
    try:
        return getattr(keras.optimizers, chosen.name)(learning_rate=rate, **chosen.options)
    except (AttributeError, TypeError, ValueError) as error:
        raise TrainingError(
            f"Keras makes no {chosen.name!r} optimizer with {dict(chosen.options)}: {str(error).partition('. ')[0]}."
        ) from error
