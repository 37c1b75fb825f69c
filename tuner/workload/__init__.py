"""What is trained: one frozen description, shared by the trainer, the spec files and the database.

A ``Workload`` is trained by this software, an ``Objective`` by a function of the user's. Both are
plain dataclasses without torch, so that reading a database or a spec file stays fast; pydantic
reads them from TOML and JSON as they stand. What is the user's own in either is named, as
``"package.module:function"``, and never sent: see ``tuner.named``.
"""

from tuner.workload.choices import (
    ACCURACY,
    AUGMENTATIONS,
    DATASETS,
    LOSSES,
    OPTION,
    PRECISIONS,
    SCORED_ON,
)
from tuner.workload.networks import MODELS
from tuner.workload.own_objective import Objective
from tuner.workload.phrases import chance, in_words, scored_on
from tuner.workload.workload import CAME_LATER, AnyWorkload, Workload

__all__ = [
    "ACCURACY",
    "AUGMENTATIONS",
    "CAME_LATER",
    "DATASETS",
    "LOSSES",
    "MODELS",
    "OPTION",
    "PRECISIONS",
    "SCORED_ON",
    "AnyWorkload",
    "Objective",
    "Workload",
    "chance",
    "in_words",
    "scored_on",
]
