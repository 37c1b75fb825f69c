"""A training problem that this software trains: data, network and length."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar

from tuner.errors import InvalidInput, UnknownName
from tuner.workload import networks
from tuner.workload.choices import (
    ACCURACY,
    AUGMENTATIONS,
    DATASETS,
    GREATEST_SIZE,
    IMAGES,
    LOSSES,
    METRICS,
    OPTION,
    PRECISIONS,
)
from tuner.workload.networks import MODELS
from tuner.workload.own_functions import check_direction, check_function
from tuner.workload.own_objective import Objective

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
            check_function(name, self.functions[name])
        for name, own, options in (
            ("dataset", self.own_dataset, self.dataset_options),
            ("model", self.own_model, self.model_options),
        ):
            if options and not own:
                raise InvalidInput(
                    f"workload.{name}_options: are for a function, {name} = "
                    f'"package.module:function"; {getattr(self, name)} takes none'
                )
        for name in ("widths", "binary_ends"):
            if self.own_model and getattr(self, name):
                raise InvalidInput(
                    f"workload.{name}: is for networks of this software; give {self.model} what "
                    "it takes as workload.model_options"
                )

    def _check_metric(self) -> None:
        if self.own_metric:
            check_direction(self.metric, self.direction)
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
        for name in ("temperature", "teacher_share"):
            if not self.teacher and (value := getattr(self, name)) != 1:
                raise InvalidInput(
                    f"workload.{name}: is for a workload.teacher, got {value} without one; drop it"
                )
        if self.teacher and self.loss != LOSSES[0]:
            raise InvalidInput(
                f"workload.teacher: goes with the loss {LOSSES[0]!r}, got {self.loss!r}; drop one"
            )
        if not 0 < (share := self.teacher_share) <= 1:
            raise InvalidInput(f"workload.teacher_share: must be in (0, 1], got {share}")
        if not 0.01 <= (heat := self.temperature) <= 100:
            raise InvalidInput(f"workload.temperature: must be in 0.01 .. 100, got {heat}")

    def check_network(self) -> None:
        """Refuse a network that cannot be, as far as that is known without the data.

        What was stored before there was such a rule is read all the same, so it is none of those
        above: whoever declares a workload asks, and ``bnn.models`` once more.

        Raises:
            InvalidInput: As ``networks.check`` does.
        """
        if not self.own_model:
            networks.check(
                self.model, self.layer_widths, binary_ends=self.binary_ends, image=self.image
            )

    @property
    def image(self) -> tuple[int, int] | None:
        """Height and width of its images, if they are known without the data."""
        return (self.size, self.size) if self.size else IMAGES.get(self.dataset)

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


AnyWorkload = Workload | Objective
"""What may be declared."""
