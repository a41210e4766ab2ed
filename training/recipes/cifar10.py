"""CIFAR-10: small networks from scratch, a random search, and EfficientNet-B0, SGD against Adam.

Reproduces the study that grew three small networks from scratch (best test accuracy 0.8462), searched learning rate,
batch, epochs and optimizer at random (0.8261), and then fine-tuned EfficientNet-B0 on the 32 px pictures enlarged.
`cnn1`, `cnn2` and `cnn3` are the networks, `python -m training search cifar10` is the search, over `cnn3`; `sgd` and
`adam` are the EfficientNets.

What differs here: 46,000 pictures to train on and 3,000 to validate, so that nothing is chosen on the 10,000 official
test pictures; the small networks end in global average pooling, not in dense layers, and their learning rate falls
along a cosine; BatchNorm of the EfficientNet is frozen, and its optimizers have each their own best rate on the
validation split. Only blocks 4 to 7 of it are trained, for three epochs, which is what two cores do within an hour;
what the blocks before them make of enlarged pictures stays as ImageNet left it, and bounds both runs alike.

`sgd-full` and `adam-full` train all of it, at 224 px, for whoever has a GPU:

    KERAS_BACKEND=jax python -m training train cifar10/adam-full --mixed --out runs/cifar10-adam-full

The gradient's norm is cut at 1, so that SGD bears a rate that it diverges at without. Their rates are those of three
that were best on the validation split after 60 steps of 128 pictures at 160 px.
"""

from training.recipe import Augmentation, Optimizer, Plan, Recipe, Space, Stage

SGD = Optimizer("SGD", rate=0.01, tried=(0.003, 0.01, 0.03), options={"momentum": 0.9})
ADAM = Optimizer("Adam", rate=0.0003, tried=(0.0001, 0.0003, 0.001))
SGD_FULL = Optimizer("SGD", rate=0.1, options={"momentum": 0.9, "global_clipnorm": 1.0})
ADAM_FULL = Optimizer("Adam", rate=0.001, options={"global_clipnorm": 1.0})
FULL = {"input_size": 224, "stages": (Stage(epochs=10),)}
# From scratch at 32 px, where mirrored and shifted pictures are what helps.
SMALL = {
    "input_size": 32,
    "source_size": None,
    "stages": (Stage(epochs=20, trainable="scratch"),),
    "batch_size": 64,
    "augmentation": Augmentation(shift=0.1, flip=True),
}

RECIPE = Recipe(
    task="cifar10",
    labels=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    units=10,
    stages=(Stage(epochs=3, trainable="4", views=3),),
    batch_size=64,
    augmentation=Augmentation(rotation=5, zoom=0.1, shift=0.1, flip=True),
    plans={
        "sgd": Plan(SGD),
        "adam": Plan(ADAM),
        # Whole batches, so that JAX compiles one program and not two.
        "sgd-full": Plan(SGD_FULL, steps=359, batch_size=128, changes=FULL),
        "adam-full": Plan(ADAM_FULL, steps=359, batch_size=128, changes=FULL),
    }
    | {
        name.lower(): Plan(Optimizer("Adam", rate=0.003), changes=SMALL | {"architecture": name})
        for name in ("CNN1", "CNN2", "CNN3")
    },
    hub="uoft-cs/cifar10",
    shares={"validation": 0.08},
    original="test accuracy 0.8462 (its third network from scratch), 0.8261 (its search)",
    input_size=128,
    source_size=32,
    search=Space(
        run="cnn3",
        optimizers=("Adam", "RMSprop", "SGD"),
        rates=(0.0001, 0.01),
        batch_sizes=(32, 64, 128),
        epochs=(10, 15, 20),
    ),
)
