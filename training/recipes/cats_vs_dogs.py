"""Cats against dogs: one EfficientNet-B0, SGD against Adam, all else equal.

Reproduces the study in which both optimizers trained the same network from the same weights on the same pictures
in the same order, with learning rate 0.001 for both (validation accuracy 0.9550 with SGD, 0.9725 with Adam).
`sgd` and `adam` are the pair on an equal footing: the same schedule, each with its own best rate on the
validation split. What differs from the study: pictures are 0..255 as the network expects (the study scaled them to
0..1), BatchNorm is frozen, and the photograph is cropped to its centre square rather than squashed.

`sgd-study` and `adam-study` keep the study's own setting: 0.001 for both, held constant, 90 steps of 20 pictures an
epoch. Equal rates are no equal footing. SGD's step is the rate times the gradient; Adam divides the gradient by its own
size, so that each weight moves by about the rate whatever the gradient is. Here 0.001 is a third of the rate that
validation finds best for SGD, and more than three times Adam's best: with it SGD does as well as the tuned pair, while
Adam falls behind and its validation loss goes up and down. The study saw the reverse, from networks whose pixels were
scaled twice. Such a pair compares two step sizes more than two optimizers.
"""

from training.recipe import Augmentation, Optimizer, Plan, Recipe, Stage

SGD = Optimizer("SGD", rate=0.003, tried=(0.0003, 0.001, 0.003, 0.01), options={"momentum": 0.9})
ADAM = Optimizer("Adam", rate=0.0003, tried=(0.00003, 0.0001, 0.0003, 0.001))
# The study's own setting: one rate for both, held constant, 1,800 pictures an epoch.
SGD_STUDY = Optimizer("SGD", rate=0.001, options={"momentum": 0.9}, schedule="constant")
ADAM_STUDY = Optimizer("Adam", rate=0.001, schedule="constant")

RECIPE = Recipe(
    task="cats_vs_dogs",
    labels=("cat", "dog"),
    units=1,
    stages=(Stage(epochs=3),),
    batch_size=32,
    augmentation=Augmentation(rotation=40, shear=0.2, zoom=0.2, flip=True),
    plans={
        "sgd": Plan(SGD),
        "adam": Plan(ADAM),
        "sgd-seed1": Plan(SGD, seed=1),
        "adam-seed1": Plan(ADAM, seed=1),
        "sgd-study": Plan(SGD_STUDY, steps=90, batch_size=20),
        "adam-study": Plan(ADAM_STUDY, steps=90, batch_size=20),
    },
    hub="microsoft/cats_vs_dogs",
    shares={"validation": 0.1, "test": 0.1},
    original="validation accuracy 0.9550 (SGD), 0.9725 (Adam)",
)
