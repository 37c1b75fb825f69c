"""What workers write about a trial into its attributes, held to what is read of it again.

Whoever reads a trial of ours (pages, reports, CSV) takes these for granted, so what comes from
elsewhere has to keep to them. Software of another version may have written more.
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

MOST_LEVELS = 50
"""So deep JSON may be nested: it is written and read by functions that call themselves."""

Number = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Measured = Number | Literal["inf", "-inf"] | None
"""A number as ``batch.Batch`` writes it: infinity is a word, NaN is null."""

Seconds = Annotated[float, Field(ge=0, le=1e12)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True, strict=True)


class _Curve(_Part):
    """One column per measure, one row per epoch."""

    epoch: list[Annotated[int, Field(ge=1, lt=2**31)]]
    train_loss: list[Measured] = Field(default_factory=list)
    val_accuracy: list[Number | None] = Field(default_factory=list)
    flip_ratio: list[Share | None] = Field(default_factory=list)
    seconds: list[Measured] = Field(default_factory=list)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if any(not earlier < later for earlier, later in pairwise(self.epoch)):
            raise ValueError("the epochs must rise")
        for name in self.model_fields_set & _Curve.model_fields.keys():
            if len(getattr(self, name)) != len(self.epoch):
                raise ValueError("every column must have one value for each epoch")
        return self


class _Condition(_Part):
    name: str
    holds: bool | None
    why: str


class _Knob(_Part):
    name: str
    redundant: bool | None
    why: str


class _Schedule(_Part):
    kind: str
    map: str


class _Filter(_Part):
    """As ``tuner.optim.equivalence.describe`` says it; trainers may say less."""

    rule: str | None = None
    alpha: Measured = None
    gamma: Measured = None
    half_life_steps: Measured = None
    flip_ratio: Share | None = None
    real: bool | None = None
    start_state: str | None = None
    schedule: _Schedule | None = None
    conditions: list[_Condition] = Field(default_factory=list)
    redundant: list[_Knob] = Field(default_factory=list)


class _Run(_Part):
    """How it was trained."""

    worker: str | None = None
    batch: Annotated[int, Field(ge=1, lt=2**31)] | None = None
    device: str | None = None
    precision: str | None = None
    kernels: bool | str | None = None
    convolutions: str | None = None
    products: str | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    seconds: Seconds = 0.0
    settings: dict[str, bool | int | Number | str] = Field(default_factory=dict)
    filter: _Filter | None = None
    curve: _Curve = Field(default_factory=lambda: _Curve(epoch=[]))


class _Hits(_Part):
    """Whether each test image was classified rightly, a bit each."""

    n: Annotated[int, Field(ge=1, lt=2**31)]
    bits: str

    @model_validator(mode="after")
    def _check(self) -> Self:
        try:
            packed = base64.b64decode(self.bits, validate=True)
        except binascii.Error as error:
            raise ValueError("bits must be base64") from error
        if len(packed) != -(-self.n // 8):
            raise ValueError(f"bits must be those of n={self.n} images, got {len(packed)} bytes")
        return self


class TrialRecord(_Part):
    """The attributes of a trial in the queue.

    Args:
        index: Its position in its study.
        seed: Of its first weights and the order of its data.
        run: How it was trained, once it was.
        test_accuracy: If the test split was read.
        test_hits: Likewise, image by image.
        diverged: Whether a loss, weight or state became infinite or NaN.
        error: What it raised last.
        cancelled: Whether it was called off.
    """

    index: Annotated[int, Field(ge=0, lt=2**31)]
    seed: Annotated[int, Field(ge=0, lt=2**53)]
    run: _Run = Field(default_factory=_Run)
    test_accuracy: Number = 0.0
    test_hits: _Hits | None = None
    diverged: bool = False
    error: str | None = None
    cancelled: bool = False


def check_record(
    attributes: Mapping[str, Any],  # Any: any JSON value
    *,
    shares: bool,
) -> TrialRecord:
    """What the attributes of a trial in the queue say.

    Args:
        attributes: Of the trial.
        shares: Whether its scores must be shares.

    Raises:
        ValueError: If they are not such as workers write; names the place and the rule.
    """
    try:
        record = TrialRecord.model_validate(attributes)
    except ValidationError as error:
        raise ValueError(f"user_attrs.{first_of(error)}") from error
    scores: dict[str, Sequence[float | None]] = {
        "run.curve.val_accuracy": record.run.curve.val_accuracy,
        "test_accuracy": [record.test_accuracy],
    }
    for place, some in scores.items():
        if shares and any(score is not None and not 0 <= score <= 1 for score in some):
            raise ValueError(f"user_attrs.{place}: must be of shares in [0, 1]")
    if not _is_unicode(json.dumps(attributes.get("run"), ensure_ascii=False)):
        raise ValueError("user_attrs.run: holds text that is not Unicode")
    return record


def first_of(error: ValidationError) -> str:
    """The first rule that is broken, with its place."""
    broken = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(part) for part in broken["loc"])
    return f"{place or 'kind'}: {broken['msg']}"


def check_json(where: str, value: Any, level: int = 0) -> None:  # Any: any JSON value
    """Refuse JSON that a database could not keep under its names, or that is nested too deeply.

    Raises:
        ValueError: Names the place and the rule.
    """
    if level > MOST_LEVELS:
        raise ValueError(f"{where[:100]}: must be nested at most {MOST_LEVELS} levels deep")
    if isinstance(value, dict):
        for name, part in value.items():
            if not 1 <= len(name) <= 512 or "\0" in name or not _is_unicode(name):
                raise ValueError(
                    f"{where[:100]}: a name must be of 1 to 512 characters of Unicode and "
                    f"hold no NUL, got {name[:50]!a}"
                )
            check_json(f"{where}.{name}", part, level + 1)
    elif isinstance(value, list):
        for part in value:
            check_json(where, part, level + 1)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True
