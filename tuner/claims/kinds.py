"""The kinds of check, and the claims declared in ``studies/claims/``."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ConfigDict, model_validator

from tuner.claims.claim import Claim
from tuner.claims.clip_inert import ClipInert
from tuner.claims.flip_rate_law import FlipRateLaw
from tuner.claims.initial_scale import InitialScale
from tuner.claims.iso_alpha import IsoAlpha
from tuner.claims.less_tuning import LessTuning
from tuner.claims.scaling import Scaling
from tuner.claims.schedule import AlphaSchedule
from tuner.errors import InvalidInput, UnknownName
from tuner.search.declared.files import Declared, parse, read_toml, studies_dir

KINDS: Mapping[str, type[Claim]] = MappingProxyType(
    {
        "scaling": Scaling,
        "initial_scale": InitialScale,
        "iso_alpha": IsoAlpha,
        "clip_inert": ClipInert,
        "schedule": AlphaSchedule,
        "flip_rate_law": FlipRateLaw,
        "less_tuning": LessTuning,
    }
)
"""Kind -> the model of its declaration, which has the check."""


class _AnyKind(Declared):
    """A claim of which nothing but the kind is looked at."""

    model_config = ConfigDict(frozen=True, extra="allow")
    name: str
    kind: str

    @model_validator(mode="before")
    @classmethod
    def _refuse_at_once(cls, data: Any) -> Any:  # Any: whatever the file held
        if "arms" in data and "kind" not in data:
            raise InvalidInput("declares a comparison, not a claim; use: tuner run FILE")
        return data


def declared_claims() -> dict[str, Path]:
    """Name -> file of every declared claim."""
    return {path.stem: path for path in sorted((studies_dir() / "claims").glob("*.toml"))}


def load_claim(name_or_path: str) -> Claim:
    """The claim that a TOML file declares.

    Args:
        name_or_path: A path to a TOML file, or the name of a declared claim.

    Raises:
        UnknownName: If no claim of that name is declared, or its kind does not exist.
        InvalidInput: If the file is missing or breaks a rule.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml" and len(path.parts) <= 1:
        if name_or_path not in (known := declared_claims()):
            raise UnknownName("claim", name_or_path, known)
        path = known[name_or_path]
    content = read_toml(_AnyKind, path)
    if content.kind not in KINDS:
        raise UnknownName(f"{path}: kind of claim", content.kind, KINDS)
    return parse(KINDS[content.kind], content.model_dump(), str(path))
