"""What a recipe is: one frozen table of everything that makes a training."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self


class TrainingError(Exception):
    """A training that cannot be done as asked; the message is one plain sentence for a person."""


class Diverged(TrainingError):
    """A training whose loss has become infinite, or no number."""


@dataclass(frozen=True)
class Augmentation:
    """Random views of a training picture, as in Keras' ImageDataGenerator, and cutout.

    Attributes:
        rotation: largest turn, in degrees, either way.
        shear: largest shear, as the tangent of its angle.
        zoom: largest change of size: factors from 1 - zoom to 1 + zoom.
        shift: largest move, as a share of the side.
        flip: whether half of the pictures are mirrored.
        erase: side of the square that is greyed, as a share of the picture's (DeVries and Taylor, Improved
            Regularization of Convolutional Neural Networks with Cutout, 2017); its centre is anywhere in the picture.
    """

    rotation: float = 0.0
    shear: float = 0.0
    zoom: float = 0.0
    shift: float = 0.0
    flip: bool = True
    erase: float = 0.0

    @property
    def facts(self) -> dict[str, float | bool]:
        """What it says, for cards and states; cutout only where it is asked for."""
        return {name: value for name, value in vars(self).items() if value or name != "erase"}


@dataclass(frozen=True)
class Stage:
    """Some epochs with the same layers trained.

    Attributes:
        epochs: how many.
        trainable: `all`; `head`; the first block that is trained, such as `5`; or a share of the backbone's layers,
            counted from the head, such as `80 %` (always whole blocks; BatchNorm of the backbone is always frozen).
            Or `scratch`: all, BatchNorm too, from random weights.
        rate: factor on the optimizer's rate.
        views: how many augmented views a picture has, used in turn; None: another in each epoch. Where layers are
            frozen and views are bounded, what the frozen layers make of a view is computed once and kept.
    """

    epochs: int
    trainable: str = "all"
    rate: float = 1.0
    views: int | None = None

    @property
    def facts(self) -> dict[str, int | float | str]:
        """What it says, for cards and states."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class Optimizer:
    """An optimizer and its learning rate.

    Attributes:
        name: a class of `keras.optimizers`.
        rate: the (highest) learning rate.
        tried: the rates that `tune` compares on the validation split; empty where it is not tuned.
        options: further arguments, such as momentum.
        schedule: `cosine` (a short rise, then half a cosine down to zero) or `constant`.
    """

    name: str
    rate: float
    tried: tuple[float, ...] = ()
    options: Mapping[str, float] = field(default_factory=dict)
    schedule: str = "cosine"


@dataclass(frozen=True)
class Plan:
    """One run of a recipe: what may differ between runs.

    Attributes:
        optimizer: the optimizer.
        seed: of order, augmentation, dropout and head.
        steps: steps an epoch, or None for one pass over the data.
        batch_size: pictures a step, or None for the recipe's.
        changes: fields of the recipe that are other for this run, such as its architecture.
    """

    optimizer: Optimizer
    seed: int = 0
    steps: int | None = None
    batch_size: int | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Space:
    """What is searched at random, and how a trial ends.

    Attributes:
        run: the plan of the recipe whose network, views and seed are taken.
        optimizers: names of classes of `keras.optimizers`.
        rates: lowest and highest learning rate; drawn evenly on a logarithmic scale.
        batch_sizes: pictures a step.
        epochs: the most epochs of a trial.
        patience: epochs without a better validation accuracy after which a trial is stopped; after half as many,
            the learning rate is reduced.
        reduction: the factor by which.
    """

    run: str
    optimizers: tuple[str, ...]
    rates: tuple[float, float]
    batch_sizes: tuple[int, ...]
    epochs: tuple[int, ...]
    patience: int = 4
    reduction: float = 0.3


@dataclass(frozen=True)
class Recipe:
    """A study.

    Attributes:
        task: its name.
        labels: class names, or none for those of the data; two labels and one unit mean (negative, positive).
        classes: how many the study's own data has, where `labels` names none; 0: any data are its own.
        units: number of logits.
        architecture: a network of `keras.applications`.
        input_size: side of the square that the network sees, in pixels.
        source_size: resolution of the task's own pictures where it is below the input's, or None.
        stages: what is trained, and for how long.
        batch_size: pictures a step.
        augmentation: views of a picture.
        plans: its runs by name.
        hub: the data set's id on the Hugging Face Hub, or None.
        original: what the study that this reproduces reported, or None.
        search: what `search` tries at random, or None.
        columns: of the study's table, see `training.studies.COLUMNS`; empty for those of a pair of runs.
        curves: the name of the study's file with a row for each epoch.
        dropout, head_norm: the head.
        fit: how a photograph becomes a square: `crop` or `squash`.
        shares: splits that the data set on the Hub lacks, and the share of its training pictures that makes each.
        subset: whether the data may have more classes than the task; the others' pictures are left out.
        warmup: share of a stage's steps in which the rate rises.
        label_smoothing: of the cross-entropy.
        l2: factor of the summed squares of the trained kernels in the loss; biases and BatchNorm are left out.

    Raises:
        TrainingError: if there are other logits than the classes need.
    """

    task: str
    labels: tuple[str, ...]
    units: int
    stages: tuple[Stage, ...]
    batch_size: int
    augmentation: Augmentation
    plans: Mapping[str, Plan]
    hub: str | None = None
    original: str | None = None
    classes: int = 0
    search: Space | None = None
    columns: tuple[str, ...] = ()
    curves: str = "curves.csv"
    architecture: str = "EfficientNetB0"
    input_size: int = 224
    source_size: int | None = None
    dropout: float = 0.2
    head_norm: bool = False
    fit: Literal["crop", "squash"] = "crop"
    shares: Mapping[str, float] = field(default_factory=dict)
    subset: bool = False
    warmup: float = 0.1
    label_smoothing: float = 0.0
    l2: float = 0.0

    def __post_init__(self) -> None:
        count = len(self.labels)
        if self.labels and self.units not in ({1, 2} if count == 2 else {count}):
            wanted = "1 or 2" if count == 2 else count
            raise TrainingError(f"{self.task} has {count} classes and units={self.units}, where {wanted} are needed.")

    @property
    def epochs(self) -> int:
        """Epochs of all stages together."""
        return sum(stage.epochs for stage in self.stages)

    def of(self, plan: Plan) -> Self:
        """The recipe as one of its runs has it: with the plan's batch size and changes."""
        return replace(self, **{"batch_size": plan.batch_size or self.batch_size, **plan.changes})
