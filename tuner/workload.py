"""What is trained: one frozen description, shared by the trainer, the spec files and the database.

A ``Workload`` is trained by this software, an ``Objective`` by a function of the user's. Both are
plain dataclasses without torch, so that reading a database or a spec file stays fast; pydantic
reads them from TOML and JSON as they stand. What is the user's own in either is named, as
``"package.module:function"``, and never sent: see ``tuner.named``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from types import MappingProxyType
from typing import ClassVar

from tuner.errors import InvalidInput, UnknownName
from tuner.wording import count

MODELS: dict[str, tuple[int, ...]] = {
    "mlp": (64, 64, 64),
    "cnn": (32, 32, 64, 64, 128, 128),
    "bireal_resnet20": (16, 32, 64),
    "bireal_resnet18": (64, 128, 256, 512),
    "reactnet": (16, 32, 32, 64, 64, 128, 128),
    "reactnet_a": (32, 64, *(128,) * 2, *(256,) * 2, *(512,) * 6, *(1024,) * 2),
}
"""Model names and the widths each takes when a workload names none."""

DATASETS = ("digits", "fashion_mnist", "mnist", "cifar10", "folder")
SCORED_ON: dict[str, str] = {
    "digits": (
        "The images validated and tested on are others by the same 13 people who wrote those "
        "trained on: no score here speaks of other people's handwriting."
    ),
    "mnist": "The test images are by other people than those trained and validated on.",
    "cifar10": (
        "The images validated and tested on are drawn at random from the collection of those "
        "trained on: no score here speaks of other collections."
    ),
}
"""What the scores on a data set generalise to, where its makers say it; see ``sources``."""
AUGMENTATIONS = ("none", "flip", "crop", "flip_crop")
PRECISIONS = ("auto", "float32", "bfloat16", "float64")
LOSSES = ("cross_entropy", "mse")
ACCURACY = "accuracy"
METRICS = (ACCURACY, "loss")
DIRECTIONS = ("maximize", "minimize")

CAME_LATER: Mapping[str, object] = MappingProxyType(
    {
        "dataset_options": {},
        "model_options": {},
        "size": 0,
        "loss": LOSSES[0],
        "metric": ACCURACY,
        "direction": "",
    }
    | {"real_epochs": 0, "teacher": "", "temperature": 1.0, "teacher_share": 1.0}
)
"""Fields of a workload that are left out of what identifies it where they have these values: what
was declared or measured before there were any is still the same."""

GREATEST_SIZE = 4096
"""Of the side of an image, in pixels."""

OPTION = bool | int | float | str | None
"""What the options of a function of the user's may be."""

_FUNCTION = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


def _check_function(field_name: str, name: str) -> None:
    if not _FUNCTION.fullmatch(name):
        raise InvalidInput(
            f"workload.{field_name}: must name a function as package.module:function, got {name!r}"
        )


def _check_direction(metric: str, direction: str) -> None:
    if direction not in DIRECTIONS:
        raise InvalidInput(
            f"workload.direction: say which {metric} is better, "
            f"{' or '.join(repr(each) for each in DIRECTIONS)}, got {direction!r}"
        )


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A training problem: data, network and length, everything but the update rule.

    Args:
        dataset: One of ``DATASETS``; or ``"package.module:function"``, a function that is called
            with ``dataset_options`` and returns train and test, or train, validation and test:
            each a pair (inputs, labels) of tensors or arrays, or a torch data set of such pairs.
        dataset_options: Arguments of that function, by name.
        folder: The image folder, for ``dataset="folder"`` only; see ``config.image_folder_at``.
        size: Side to which the images of a folder are resized and cropped, in pixels, at most
            ``GREATEST_SIZE``; 0 leaves them as they are.
        model: One of ``MODELS``; or ``"package.module:function"``, a function that is called with
            one sample's shape, the number of classes and ``model_options``, and returns a torch
            module; see ``bnn.own_network``.
        model_options: Further arguments of that function, by name.
        widths: Hidden widths (mlp), channels per layer (cnn), per stage (resnets), or of the first
            layer and then per block (reactnets); empty for the model's own.
        binary_ends: Whether first and last layer are binary too; the custom is real-valued.
        epochs: Passes over the training split, at least 1.
        real_epochs: How many of them, the first ones, train binary layers' weights as real ones:
            the rule begins after them, where these point. Fewer than ``epochs``; 0 for none.
        batch_size: Samples per step, at least 2; a last, smaller batch is left out.
        n_train: Use only this many training samples (stratified), 0 for all.
        real_learning_rate: Adam's learning rate for the real-valued parameters (batch norm and
            real layers), cosine-decayed to zero, the same for every update rule.
        augment: One of ``AUGMENTATIONS``.
        split_seed: Seed of the train/validation split.
        precision: One of ``PRECISIONS``; ``auto`` picks the fastest that keeps the accuracy, and
            may round gradients of binary layers to int16.
        loss: What training lowers: one of ``LOSSES``; or ``"package.module:function"``, a function
            of (outputs, targets) of one trial that returns their mean loss.
        metric: What settings are selected by: one of ``METRICS``; or a function likewise, which
            gets those of a whole split and returns a number.
        direction: Which metric is better, one of ``DIRECTIONS``: for a function of the user's,
            the others say it themselves.
        teacher: A packed file of ``tuner.export``, whose logits the network is to learn to say;
            lies where ``config.below`` says.
        temperature: What logits of both are divided by then, in [0.01, 100].
        teacher_share: The teacher's part of what training lowers, in (0, 1]; the rest is ``loss``.

    Raises:
        InvalidInput: If a value breaks one of these rules.
    """

    dataset: str = "digits"
    dataset_options: Mapping[str, OPTION] = field(default_factory=dict, hash=False)
    folder: str = ""
    size: int = 0
    model: str = "mlp"
    model_options: Mapping[str, OPTION] = field(default_factory=dict, hash=False)
    widths: tuple[int, ...] = ()
    binary_ends: bool = False
    epochs: int = 20
    batch_size: int = 64
    n_train: int = 0
    real_learning_rate: float = 1e-2
    augment: str = "none"
    split_seed: int = 0
    precision: str = "auto"
    loss: str = LOSSES[0]
    metric: str = ACCURACY
    direction: str = ""
    real_epochs: int = 0
    teacher: str = ""
    temperature: float = 1.0
    teacher_share: float = 1.0

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        for kind, name, choices in (
            *([] if self.own_dataset else [("data set", self.dataset, DATASETS)]),
            *([] if self.own_model else [("model", self.model, tuple(MODELS))]),
            *([] if ":" in self.loss else [("loss", self.loss, LOSSES)]),
            *([] if self.own_metric else [("metric", self.metric, METRICS)]),
            ("augmentation", self.augment, AUGMENTATIONS),
            ("precision", self.precision, PRECISIONS),
        ):
            if name not in choices:
                raise UnknownName(kind, name, choices)
        self._check_own()
        self._check_metric()
        self._check_teacher()
        if (self.dataset == "folder") != bool(self.folder):
            raise InvalidInput(
                "workload.folder: give the image folder exactly when dataset is 'folder', "
                f"got dataset={self.dataset!r} and folder={self.folder!r}"
            )
        if not 0 <= self.size <= GREATEST_SIZE or (self.size and not self.folder):
            raise InvalidInput(
                "workload.size: must be 0 to leave images as they are, or for dataset 'folder' in "
                f"1 .. {GREATEST_SIZE} pixels, got {self.size} for dataset {self.dataset!r}"
            )
        if any(width < 1 for width in self.widths):
            raise InvalidInput(f"workload.widths: every width must be >= 1, got {self.widths}")
        for name, value, least in (
            ("epochs", self.epochs, 1),
            ("batch_size", self.batch_size, 2),
            ("n_train", self.n_train, 0),
            ("real_epochs", self.real_epochs, 0),
        ):
            if value < least:
                raise InvalidInput(f"workload.{name}: must be >= {least}, got {value}")
        if (n := self.real_epochs) >= self.epochs:
            raise InvalidInput(f"workload.real_epochs: must be < {self.epochs} epochs, got {n}")
        if not 0 <= self.split_seed < 2**53:
            raise InvalidInput(f"workload.split_seed: must be in 0 .. 2^53, got {self.split_seed}")
        if not 0 < (lr := self.real_learning_rate) < float("inf"):
            raise InvalidInput(f"workload.real_learning_rate: must be > 0 and finite, got {lr}")

    def _check_own(self) -> None:
        """Refuse what does not go with a network or data of the user's own, or without them."""
        for name in self.functions:
            _check_function(name, self.functions[name])
        for name, own, options in (
            ("dataset", self.own_dataset, self.dataset_options),
            ("model", self.own_model, self.model_options),
        ):
            if options and not own:
                raise InvalidInput(
                    f"workload.{name}_options: are for a function, {name} = "
                    f'"package.module:function"; {getattr(self, name)} takes none'
                )
        if self.own_model and (self.widths or self.binary_ends):
            raise InvalidInput(
                "workload.widths, workload.binary_ends: are for networks of this software; give "
                f"{self.model} what it takes as workload.model_options"
            )

    def _check_metric(self) -> None:
        if self.own_metric:
            _check_direction(self.metric, self.direction)
        elif self.direction not in ("", "minimize" if self.metric == "loss" else "maximize"):
            raise InvalidInput(
                f"workload.direction: {self.metric} is not to {self.direction}; drop it, it is "
                "for a metric of your own"
            )
        if self.loss == "mse" and self.metric == ACCURACY:
            raise InvalidInput(
                "workload.metric: accuracy is of classes, which loss 'mse' does not know; choose "
                'another, such as metric = "loss"'
            )

    def _check_teacher(self) -> None:
        if not self.teacher and (self.temperature, self.teacher_share) != (1, 1):
            raise InvalidInput(
                "workload.temperature, teacher_share: are for a workload.teacher; drop them"
            )
        if self.teacher and self.loss != LOSSES[0]:
            raise InvalidInput(
                f"workload.teacher: goes with the loss {LOSSES[0]!r}, got {self.loss!r}; drop one"
            )
        if not 0 < (share := self.teacher_share) <= 1:
            raise InvalidInput(f"workload.teacher_share: must be in (0, 1], got {share}")
        if not 0.01 <= (heat := self.temperature) <= 100:
            raise InvalidInput(f"workload.temperature: must be in 0.01 .. 100, got {heat}")

    @property
    def own_metric(self) -> bool:
        """Whether scores come from a function of the user's."""
        return ":" in self.metric

    @property
    def unit(self) -> str:
        """What its scores are called."""
        return self.metric.partition(":")[2] or self.metric

    @property
    def minimized(self) -> bool:
        """Whether a lower score is better."""
        return self.metric == "loss" or self.direction == "minimize"

    @property
    def own_dataset(self) -> bool:
        """Whether the data come from a function of the user's."""
        return ":" in self.dataset

    @property
    def own_model(self) -> bool:
        """Whether the network comes from a function of the user's."""
        return ":" in self.model

    @property
    def functions(self) -> dict[str, str]:
        """The functions of the user's that it names, by field."""
        fields = ("dataset", "model", "loss", "metric")
        named = {name: str(getattr(self, name)) for name in fields}
        return {name: value for name, value in named.items() if ":" in value}

    @property
    def layer_widths(self) -> tuple[int, ...]:
        """The widths in use: the workload's own, or the model's; none of a model of the user's."""
        return self.widths or MODELS.get(self.model, ())


@dataclass(frozen=True, kw_only=True)
class Objective:
    """A training problem of the user's own: a function that trains one trial and scores it.

    The function is named, never sent: a worker imports it if its own configuration allows that.

    Args:
        objective: ``"package.module:function"``; it is called with a
            ``tuner.search.objective.trial.Trial`` and the options, and returns the trial's score;
            where ``trial.test`` is true, score and test score.
        options: Further arguments of the function, by name.
        epochs: How many epochs a trial reports at most, at least 1.
        chance: The score of guessing, where it is known: runs that diverged have it.
        scored_on: What the scores generalise to, in a sentence.
        metric: What the score is called. Accuracies are shares in [0, 1] of which more is better,
            others any finite numbers.
        direction: Which score is better, one of ``DIRECTIONS``; accuracies say it themselves.

    Raises:
        InvalidInput: If a value breaks one of these rules.
    """

    objective: str
    options: Mapping[str, OPTION] = field(default_factory=dict)
    epochs: int = 1
    chance: float | None = None
    scored_on: str = ""
    metric: str = ACCURACY
    direction: str = ""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        _check_function("objective", self.objective)
        if not self.epochs >= 1:
            raise InvalidInput(f"workload.epochs: must be >= 1, got {self.epochs}")
        if self.metric == ACCURACY:
            if self.direction not in ("", "maximize"):
                raise InvalidInput(
                    "workload.direction: accuracies are shares of which more is better; give the "
                    f'score a name, such as metric = "loss", to {self.direction} it'
                )
        elif not re.fullmatch(r"\w[\w @%/().-]{0,39}", self.metric):
            raise InvalidInput(
                "workload.metric: must be a name of the score, 1 to 40 letters, such as "
                f'"validation loss", got {self.metric!r}'
            )
        else:
            _check_direction(self.metric, self.direction)
        if self.chance is not None and not self._may_be(self.chance):
            wanted = "in [0, 1)" if self.metric == ACCURACY else "finite"
            raise InvalidInput(f"workload.chance: must be {wanted}, got {self.chance}")

    def _may_be(self, chance: float) -> bool:
        return 0 <= chance < 1 if self.metric == ACCURACY else isfinite(chance)

    @property
    def unit(self) -> str:
        """What its scores are called."""
        return self.metric

    @property
    def minimized(self) -> bool:
        """Whether a lower score is better."""
        return self.direction == "minimize"

    @property
    def functions(self) -> dict[str, str]:
        """The functions of the user's that it names, by field."""
        return {"objective": self.objective}


AnyWorkload = Workload | Objective


def in_words(workload: AnyWorkload) -> str:
    """The workload in a phrase, such as "digits, mlp 64-64-64, 20 epochs"."""
    if isinstance(workload, Objective):
        epochs = [f"at most {count(workload.epochs, 'epoch')}"] if workload.epochs > 1 else []
        return ", ".join((workload.objective, *_options(workload.options), *epochs))
    widths = "-".join(str(width) for width in workload.layer_widths)
    parts = [workload.folder or workload.dataset, *_options(workload.dataset_options)]
    if workload.size:
        parts.append(f"{workload.size}x{workload.size} pixels")
    parts += [f"{workload.model} {widths}".rstrip(), *_options(workload.model_options)]
    if workload.binary_ends:
        parts.append("all layers binary")
    if workload.n_train:
        parts.append(count(workload.n_train, "training sample"))
    if workload.loss != LOSSES[0]:
        parts.append(f"loss {workload.loss}")
    if workload.teacher:
        parts.append(f"taught by {workload.teacher}")
    if workload.metric != ACCURACY:
        parts.append(f"scored by {workload.metric}")
    first = workload.real_epochs
    real = [f"the first {first} with real weights"] if first else []
    return ", ".join((*parts, count(workload.epochs, "epoch"), *real))


def _options(options: Mapping[str, OPTION]) -> list[str]:
    return [f"{name} {value}" for name, value in options.items()]


def scored_on(workload: AnyWorkload) -> str:
    """What its scores generalise to, in a sentence; empty where that is not known for certain."""
    if isinstance(workload, Objective):
        return workload.scored_on
    return SCORED_ON.get(workload.dataset, "")


def chance(workload: AnyWorkload) -> float | None:
    """Accuracy of guessing: the data sets have ten classes; ``None`` where it is not known."""
    if isinstance(workload, Objective):
        return workload.chance
    own = workload.folder or workload.own_dataset or workload.metric != ACCURACY
    return None if own else 0.1
