"""An Optuna study that holds the carried trials, for whoever goes on with Optuna itself."""

import optuna
from optuna.study import StudyDirection

from tuner.errors import InvalidInput
from tuner.search.foreign.address import parse
from tuner.search.foreign.transfer.carrying import Transfer


def make_study(address: str, found: Transfer) -> None:
    """Make a study of Optuna's with these trials; nothing is left of it where that fails.

    Args:
        address: ``STORAGE::STUDY``: a file, or an address that Optuna opens.
        found: What was carried, with the direction of the study that it is from.

    Raises:
        InvalidInput: If no study is named, or there is one of that name.
    """
    place = parse(address)
    if place.study is None:
        raise InvalidInput(f"--into: name the study to make, as {address}::NAME")
    storage = place.storage if "://" in place.storage else f"sqlite:///{place.storage}"
    trials = [trial.in_space(found.space) for trial in found.carried.trials]
    try:
        study = optuna.create_study(
            storage=storage,
            study_name=place.study,
            direction=StudyDirection.MINIMIZE if found.minimized else StudyDirection.MAXIMIZE,
        )
    except optuna.exceptions.DuplicatedStudyError as error:
        raise InvalidInput(
            f"--into: there is a study {place.study!r} in {place.shown}; name another"
        ) from error
    try:
        study.set_user_attr("carried", {"source": found.source, "space": found.space.name})
        study.add_trials(trials)
    except BaseException:
        optuna.delete_study(study_name=place.study, storage=storage)
        raise
