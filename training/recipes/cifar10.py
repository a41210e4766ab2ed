"""CIFAR-10: small networks from scratch, a random search, and EfficientNet-B0, SGD against Adam.

Reproduces the study that grew three small networks from scratch (best test accuracy 0.8462), searched learning rate,
batch, epochs and optimizer at random (0.8261), and then fine-tuned EfficientNet-B0 on the 32 px pictures enlarged.
`cnn1`, `cnn2` and `cnn3` are the networks, `python -m training search cifar10` is the search, over `cnn3`; `sgd` and
`adam` are the EfficientNets.

What differs here: 46,000 pictures to train on and 3,000 to validate, so that nothing is chosen on the 10,000 official
test pictures; the small networks end in global average pooling, not in dense layers, and their learning rate falls
along a cosine; BatchNorm of the EfficientNet is frozen, and its optimizers have each their own best rate on the
validation split, with the gradient's norm cut at 1: without that SGD diverges at the rate that is best with it. All of
it is trained, for ten epochs, with cutout; then the blocks from the fourth on, for eight more, at half the rate. What
is shipped had the ten in bfloat16 on a GPU, in minutes, and was stopped there; the eight it had in float32 on two
cores, a quarter of an hour each:

    KERAS_BACKEND=jax python -m training train cifar10/adam --mixed --out FOLDER
    python -m training train cifar10/adam --resume --out FOLDER

The first command, left alone, trains all eighteen.
"""

from training.recipe import Augmentation, Optimizer, Plan, Recipe, Space, Stage

SGD = Optimizer("SGD", rate=0.1, tried=(0.03, 0.1, 0.3), options={"momentum": 0.9, "global_clipnorm": 1.0})
ADAM = Optimizer("Adam", rate=0.001, tried=(0.0003, 0.001, 0.003), options={"global_clipnorm": 1.0})
# From scratch at 32 px, where mirrored and shifted pictures are what helps.
SMALL = {
    "input_size": 32,
    "source_size": None,
    "stages": (Stage(epochs=20, trainable="scratch"),),
    "batch_size": 64,
    "augmentation": Augmentation(shift=0.1, flip=True),
    "label_smoothing": 0.0,
}

RECIPE = Recipe(
    task="cifar10",
    labels=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    units=10,
    stages=(Stage(epochs=10), Stage(epochs=8, trainable="4", rate=0.5)),
    batch_size=128,
    augmentation=Augmentation(rotation=10, zoom=0.15, shift=0.1, flip=True, erase=0.4),
    # Whole batches, so that JAX compiles one program and not two.
    plans={"sgd": Plan(SGD, steps=359), "adam": Plan(ADAM, steps=359)}
    | {
        name.lower(): Plan(Optimizer("Adam", rate=0.003), changes=SMALL | {"architecture": name})
        for name in ("CNN1", "CNN2", "CNN3")
    },
    hub="uoft-cs/cifar10",
    shares={"validation": 0.08},
    original="test accuracy 0.8462 (its third network from scratch), 0.8261 (its search)",
    input_size=160,
    source_size=32,
    label_smoothing=0.1,
    search=Space(
        run="cnn3",
        optimizers=("Adam", "RMSprop", "SGD"),
        rates=(0.0001, 0.01),
        batch_sizes=(32, 64, 128),
        epochs=(10, 15, 20),
    ),
)
