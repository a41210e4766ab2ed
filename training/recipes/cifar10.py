"""CIFAR-10: EfficientNet-B0 on 32 px pictures enlarged, SGD against Adam.

Reproduces the study that grew three small networks from scratch (best test accuracy 0.8462), searched learning rate,
batch, epochs and optimizer at random (0.8261), and then fine-tuned EfficientNet-B0. What differs here: 46,000
pictures to train on and 3,000 to validate, so that nothing is chosen on the 10,000 official test pictures; BatchNorm
of the backbone is frozen; each optimizer has its own best rate on the validation split.
"""

from training.recipe import Augmentation, Optimizer, Plan, Recipe, Stage

SGD = Optimizer("SGD", rate=0.02, tried=(0.005, 0.02, 0.05), options={"momentum": 0.9})
ADAM = Optimizer("Adam", rate=0.0003, tried=(0.0001, 0.0003, 0.001))

RECIPE = Recipe(
    task="cifar10",
    labels=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    units=10,
    stages=(Stage(epochs=5),),
    batch_size=64,
    augmentation=Augmentation(rotation=5, zoom=0.1, shift=0.1, flip=True),
    plans={"sgd": Plan(SGD), "adam": Plan(ADAM)},
    hub="uoft-cs/cifar10",
    original="test accuracy 0.8462 (its third network from scratch), 0.8261 (its search)",
    input_size=128,
    source_size=32,
)
