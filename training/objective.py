"""What a stage minimises, and with which optimizer and rate."""

from typing import Any

from training.recipe import Plan, Recipe, Stage


def prepare(model: Any, recipe: Recipe, plan: Plan, stage: Stage, steps: int) -> None:
    """Compile a network, or the rest of one, for a stage of so many steps an epoch."""
    import keras

    chosen = plan.optimizer
    peak = chosen.rate * stage.rate
    total = steps * stage.epochs
    rate: Any = peak
    if chosen.schedule == "cosine":
        warmup = max(1, round(total * recipe.warmup))
        falling = max(1, total - warmup)
        rate = keras.optimizers.schedules.CosineDecay(0.0, falling, warmup_target=peak, warmup_steps=warmup)
    optimizer = getattr(keras.optimizers, chosen.name)(learning_rate=rate, **chosen.options)
    if recipe.units == 1:
        loss: Any = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=recipe.label_smoothing)
        accuracy: Any = keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0)
    else:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
    optimizer.build(model.trainable_variables)
    model.compile(optimizer=optimizer, loss=loss, metrics=[accuracy], jit_compile=False)
