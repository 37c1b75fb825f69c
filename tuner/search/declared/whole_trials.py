"""Samplers that learn from trials that ran to their end alone, in Optuna 5, and need many.

Under a pruner that stops most trials their model hardly sees any: CMA-ES, which waits for whole
generations, never leaves its first one, and the GP goes on drawing at random.
"""

from tuner.errors import InvalidInput

NEED_WHOLE_TRIALS = ("cmaes", "gp")
STORED = {"stored": True}
"""Validation context for declarations that a database or an export holds: what was allowed when
they were written is read as it stands."""


def refuse_too_few_whole_trials(arm: str, sampler: str, pruner: str) -> None:
    """Refuse a pruner with a sampler that it would keep from learning.

    Args:
        arm: The arm's name.
        sampler: Chooses its trials.
        pruner: Stops them.

    Raises:
        InvalidInput: If the two do not go together.
    """
    if sampler in NEED_WHOLE_TRIALS and pruner != "none":
        raise InvalidInput(
            f"arm {arm!r}: the sampler {sampler!r} learns from trials that ran to their end "
            f"alone, and the pruner {pruner!r} leaves it few; use the sampler 'tpe', or the "
            "pruner 'none'"
        )
