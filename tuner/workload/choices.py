"""What a workload may name: data sets, losses, metrics and the like. Networks are ``networks``."""

DATASETS = ("digits", "fashion_mnist", "mnist", "cifar10", "folder")
IMAGES: dict[str, tuple[int, int]] = {
    "digits": (8, 8),
    "fashion_mnist": (28, 28),
    "mnist": (28, 28),
    "cifar10": (32, 32),
}
"""Height and width of a data set's images, where they are always the same."""

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

GREATEST_SIZE = 4096
"""Of the side of an image, in pixels."""

OPTION = bool | int | float | str | None
"""What the options of a function of the user's may be."""
