"""Which trials of a study are draws of its sampler, each counted once."""

from collections.abc import Sequence

from optuna.trial import FrozenTrial, TrialState


def draws(
    trials: Sequence[FrozenTrial], name: str, *, random: bool
) -> tuple[list[FrozenTrial], list[str]]:
    """The trials that count, and what is said of those that do not.

    An attempt that was lost, such as with its machine, and run again with the same setting
    (Optuna's ``RetryHeartbeatStaleTrialCallback``) is one draw with its retry. A setting that
    somebody put into the queue (``Study.enqueue_trial``) is no random draw.

    Args:
        trials: Those that ended.
        name: The arm.
        random: Whether the estimators take them for independent random draws.
    """
    lost = {number for trial in trials for number in _attempts_before(trial)}
    kept = [
        trial for trial in trials if trial.state != TrialState.FAIL or trial.number not in lost
    ]
    notes = []
    if again := len(trials) - len(kept):
        notes.append(
            f"{name}: {again} lost attempts that were run again with the same setting are left "
            "out: each is one draw with its retry"
        )
    by_hand = [trial for trial in kept if "fixed_params" in trial.system_attrs]
    if by_hand and random and len(by_hand) < len(kept):
        kept = [trial for trial in kept if "fixed_params" not in trial.system_attrs]
        notes.append(
            f"{name}: {len(by_hand)} trials whose setting was enqueued by hand are no random "
            "draws, and left out"
        )
    elif by_hand:
        notes.append(f"{name}: the settings of {len(by_hand)} trials were enqueued by hand")
    return kept, notes


def _attempts_before(trial: FrozenTrial) -> list[int]:
    """Numbers of the lost attempts that this trial repeats."""
    history = trial.system_attrs.get("retry_history")
    return [each for each in history if type(each) is int] if isinstance(history, list) else []
