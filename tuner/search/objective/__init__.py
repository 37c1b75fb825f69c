"""Objectives of the user's own: named, imported where that is allowed, called for one trial."""

from tuner.search.objective.once import once
from tuner.search.objective.trial import Trial

__all__ = ["Trial", "once"]
