"""CIFAR-100's 20 superclasses: networks from scratch, and which share of a trained network to train on.

Reproduces the study that trained networks from scratch at 32 and 78 px and then ten networks of `keras.applications`
with all, 90 %, 80 % or only the top of their layers trainable, with five optimizers and several numbers of steps an
epoch (best accuracy 0.91: Xception, 1,250 steps; EfficientNet-B0: 0.70). Runs are named
`<architecture>-<share>-<optimizer>`, so `--runs "xception-*-adam"` trains Xception's shares with Adam.

What differs from the study: a share is widened to whole blocks, and BatchNorm of a trained network stays frozen; every
network gets the pixels that it was trained on (EfficientNet scales them itself, so that scaling them to 0..1 first, as
many tutorials do, may be why the study's B0 stayed at 0.70); the ten networks are those of `keras.applications` that
take pictures of 78 px with channels in the order RGB, which need not be the study's ten; learning rates are not tuned;
accuracy is that on the validation part of the data and not on the test pictures, for the best of two hundred runs
would be chosen on them.
"""

from itertools import product

from training.recipe import Augmentation, Optimizer, Plan, Recipe, Stage

ARCHITECTURES = (
    "Xception",
    "EfficientNetB0",
    "EfficientNetV2B0",
    "InceptionV3",
    "InceptionResNetV2",
    "ResNet50V2",
    "DenseNet121",
    "MobileNet",
    "MobileNetV2",
    "NASNetMobile",
)
SHARES = ("all", "90 %", "80 %", "head")
OPTIMIZERS = (
    Optimizer("Adam", rate=0.0003),
    Optimizer("SGD", rate=0.01, options={"momentum": 0.9}),
    Optimizer("RMSprop", rate=0.0001),
    Optimizer("Adagrad", rate=0.01),
    Optimizer("Nadam", rate=0.0003),
)
STEPS = (250, 500, 1250)
SIDES = (32, 78)


def name(*parts: str | int) -> str:
    """The name of a run."""
    return "-".join(str(part).lower().replace(" %", "") for part in parts)


def transfer(architecture: str, share: str) -> dict:
    """What a run of an architecture has otherwise."""
    return {"architecture": architecture, "stages": (Stage(epochs=5, trainable=share),)}


def scratch(architecture: str, side: int) -> dict:
    """What a run from scratch has otherwise."""
    return {"architecture": architecture, "input_size": side, "stages": (Stage(epochs=30, trainable="scratch"),)}


RECIPE = Recipe(
    task="cifar100",
    labels=(
        "aquatic_mammals",
        "fish",
        "flowers",
        "food_containers",
        "fruit_and_vegetables",
        "household_electrical_devices",
        "household_furniture",
        "insects",
        "large_carnivores",
        "large_man-made_outdoor_things",
        "large_natural_outdoor_scenes",
        "large_omnivores_and_herbivores",
        "medium_mammals",
        "non-insect_invertebrates",
        "people",
        "reptiles",
        "small_mammals",
        "trees",
        "vehicles_1",
        "vehicles_2",
    ),
    units=20,
    stages=(Stage(epochs=5),),
    batch_size=32,
    augmentation=Augmentation(rotation=10, zoom=0.1, shift=0.1, flip=True),
    plans={
        name(architecture, side): Plan(
            Optimizer("Adam", rate=0.002), batch_size=64, changes=scratch(architecture, side)
        )
        for architecture, side in product(("CNN1", "CNN2", "CNN3"), SIDES)
    }
    | {
        name(architecture, share, optimizer.name): Plan(optimizer, changes=transfer(architecture, share))
        for architecture, share, optimizer in product(ARCHITECTURES, SHARES, OPTIMIZERS)
    }
    | {
        name("Xception", "all", "Adam", steps): Plan(OPTIMIZERS[0], steps=steps, changes=transfer("Xception", "all"))
        for steps in STEPS
    },
    hub="uoft-cs/cifar100",
    shares={"validation": 0.1},
    original="best accuracy 0.91 (Xception, 1,250 steps an epoch), EfficientNet-B0 0.70",
    columns=(
        "run",
        "architecture",
        "input_size",
        "trainable",
        "optimizer",
        "learning_rate",
        "steps_per_epoch",
        "epochs",
        "accuracy",
        "val_accuracy",
        "memory_mb",
        "seconds",
    ),
    input_size=78,
    source_size=32,
)
