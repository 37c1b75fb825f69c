"""What is trained: one frozen description, shared by the trainer, the spec files and the database.

It is a plain dataclass without torch, so that reading a database or a spec file stays fast;
pydantic reads it from TOML and JSON as it stands.
"""

from dataclasses import dataclass
from typing import ClassVar

from tuner.errors import InvalidInput, UnknownName

MODELS: dict[str, tuple[int, ...]] = {
    "mlp": (64, 64, 64),
    "cnn": (32, 32, 64, 64, 128, 128),
    "bireal_resnet20": (16, 32, 64),
    "bireal_resnet18": (64, 128, 256, 512),
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
"""What the scores on a data set generalise to, where its makers say it; see ``bnn.sources``."""
AUGMENTATIONS = ("none", "flip", "crop", "flip_crop")
PRECISIONS = ("auto", "float32", "bfloat16", "float64")


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A training problem: data, network and length, everything but the update rule.

    Args:
        dataset: One of ``DATASETS``.
        folder: The image folder, for ``dataset="folder"`` only.
        model: One of ``MODELS``.
        widths: Hidden widths (mlp), channels per layer (cnn) or per stage (resnets); empty for
            the model's own.
        binary_ends: Whether first and last layer are binary too; the custom is real-valued.
        epochs: Passes over the training split, at least 1.
        batch_size: Samples per step, at least 2; a last, smaller batch is left out.
        n_train: Use only this many training samples (stratified), 0 for all.
        real_learning_rate: Adam's learning rate for the real-valued parameters (batch norm and
            real layers), cosine-decayed to zero, the same for every update rule.
        augment: One of ``AUGMENTATIONS``.
        split_seed: Seed of the train/validation split.
        precision: One of ``PRECISIONS``; ``auto`` picks the fastest that keeps the accuracy.

    Raises:
        InvalidInput: If a value breaks one of these rules.
    """

    dataset: str = "digits"
    folder: str = ""
    model: str = "mlp"
    widths: tuple[int, ...] = ()
    binary_ends: bool = False
    epochs: int = 20
    batch_size: int = 64
    n_train: int = 0
    real_learning_rate: float = 1e-2
    augment: str = "none"
    split_seed: int = 0
    precision: str = "auto"

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        for kind, name, choices in (
            ("data set", self.dataset, DATASETS),
            ("model", self.model, MODELS),
            ("augmentation", self.augment, AUGMENTATIONS),
            ("precision", self.precision, PRECISIONS),
        ):
            if name not in choices:
                raise UnknownName(kind, name, choices)
        if (self.dataset == "folder") != bool(self.folder):
            raise InvalidInput(
                "workload.folder: give the image folder exactly when dataset is 'folder', "
                f"got dataset={self.dataset!r} and folder={self.folder!r}"
            )
        if any(width < 1 for width in self.widths):
            raise InvalidInput(f"workload.widths: every width must be >= 1, got {self.widths}")
        for name, value, least in (
            ("epochs", self.epochs, 1),
            ("batch_size", self.batch_size, 2),
            ("n_train", self.n_train, 0),
        ):
            if value < least:
                raise InvalidInput(f"workload.{name}: must be >= {least}, got {value}")
        if not 0 <= self.split_seed < 2**53:
            raise InvalidInput(f"workload.split_seed: must be in 0 .. 2^53, got {self.split_seed}")
        if not 0 < self.real_learning_rate < float("inf"):
            raise InvalidInput(
                "workload.real_learning_rate: must be positive and finite, "
                f"got {self.real_learning_rate}"
            )

    @property
    def layer_widths(self) -> tuple[int, ...]:
        """The widths in use: the workload's own, or the model's."""
        return self.widths or MODELS[self.model]


def in_words(workload: Workload) -> str:
    """The workload in a phrase, such as "digits, mlp 64-64-64, 20 epochs"."""
    widths = "-".join(str(width) for width in workload.layer_widths)
    parts = [workload.folder or workload.dataset, f"{workload.model} {widths}"]
    if workload.binary_ends:
        parts.append("all layers binary")
    if workload.n_train:
        parts.append(f"{workload.n_train} training samples")
    return ", ".join((*parts, f"{workload.epochs} epochs"))


def scored_on(workload: Workload) -> str:
    """What its scores generalise to, in a sentence; empty where that is not known for certain."""
    return SCORED_ON.get(workload.dataset, "")


def chance(workload: Workload) -> float | None:
    """Accuracy of guessing: the data sets have ten classes; ``None`` of a folder's own."""
    return None if workload.folder else 0.1
