"""Caltech-256: EfficientNet B0, B1, B3, B5 and B7, each at the resolution it was made for.

Reproduces the study that fine-tuned five sizes of EfficientNet with label smoothing and L2 (validation accuracy 0.85
to 0.88). Any folder of class folders will do in place of Caltech-256: its classes are those of the data.

Why the first loss is above 1, though the networks come trained: the loss is a sum of three things. A new head answers
each of K classes alike, which costs ln K nats, 5.55 for 257 classes, and the first epoch's loss is the mean over the
epoch in which it learns better. Label smoothing e makes even a perfect answer cost the entropy of the smoothed label,
-(1 - e + e/K) ln(1 - e + e/K) - (K - 1) e/K ln(e/K): 0.88 nats for e = 0.1. And L2 adds its factor times the summed
squares of every kernel that is trained, so it leaps when the blocks are unfrozen. So the loss is split: the columns
`cross_entropy` and `l2` of `training_results.csv` add up to `loss`, and the plot has a panel for the two. `val_loss`
is the plain cross-entropy, without smoothing and L2, so that runs with other settings can be compared.

What differs from the study: L2 leaves biases and BatchNorm out, and counts only what is trained; BatchNorm stays
frozen; one learning rate, not tuned, for all five sizes; the squares are cropped and not stretched.
"""

from training.recipe import Augmentation, Optimizer, Plan, Recipe, Stage

ADAM = Optimizer("Adam", rate=0.0003)
SIDES = {"B0": 224, "B1": 240, "B3": 300, "B5": 456, "B7": 600}

RECIPE = Recipe(
    task="caltech256",
    labels=(),
    classes=257,
    units=0,
    stages=(Stage(epochs=2, trainable="head", rate=3.0), Stage(epochs=8)),
    batch_size=16,
    augmentation=Augmentation(rotation=15, zoom=0.15, shift=0.05, flip=True),
    plans={
        size.lower(): Plan(ADAM, changes={"architecture": f"EfficientNet{size}", "input_size": side})
        for size, side in SIDES.items()
    },
    hub="ilee0022/Caltech-256",
    original="validation accuracy 0.85 to 0.88",
    curves="training_results.csv",
    columns=(
        "run",
        "architecture",
        "input_size",
        "epochs",
        "accuracy",
        "val_accuracy",
        "first_loss",
        "loss",
        "val_loss",
        "memory_mb",
        "seconds",
    ),
    shares={"validation": 0.1, "test": 0.1},
    label_smoothing=0.1,
    l2=0.00001,
)
