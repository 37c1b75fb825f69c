"""By what studies of ours are known in Optuna: everybody's studies lie side by side there."""

from collections.abc import Mapping
from typing import Any

MARK, FORMAT = "bnn_tuner.format", 1
"""The attribute by which a study of ours is known, and the format of the others it then has."""


def is_ours(attributes: Mapping[str, Any], study_name: str) -> bool:  # Any: any JSON value
    """Whether a study of that name with these attributes was made here, and is no copy of one."""
    if attributes.get(MARK) != FORMAT:
        return False
    spec = attributes.get("spec")
    arm = spec.get("arm") if isinstance(spec, dict) else None
    if not isinstance(spec, dict) or not isinstance(arm, dict):
        return True  # changed from outside
    return f"{study_name}/".startswith(f"{spec.get('comparison')}/{arm.get('name')}/")
