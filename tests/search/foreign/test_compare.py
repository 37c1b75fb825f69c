"""Any Optuna study as an arm, and the comparison of two that others made."""

import math
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import optuna
import pytest
from comparisons import comparison, enqueue, work_here
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from tuner.compare import Protocol, compare_studies
from tuner.errors import DatabaseProblem, InvalidInput, NotFound, UnknownName
from tuner.search.database.store import Store, open_store
from tuner.search.foreign.address import parse
from tuner.search.foreign.arm import AS_IT_STANDS, ForeignArm, Reading, arm_of
from tuner.search.foreign.compare import judged_studies, stored_studies
from tuner.search.foreign.storages.kinds import study_at
from tuner.search.results.arms import arms


def foreign_arm(address: str, reading: Reading = AS_IT_STANDS) -> ForeignArm:
    return arm_of(study_at(parse(address)), reading=reading)


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    opened = open_store(sqlite_url)
    yield opened
    opened.close()


@pytest.fixture
def foreign(optunas_sqlite: Path, tmp_path: Path) -> str:
    """The address of a study that Optuna made by itself, with trials in every state."""
    url = f"sqlite:///{shutil.copy(optunas_sqlite, tmp_path / 'foreign.db')}"
    storage = optuna.storages.RDBStorage(url)
    study = optuna.create_study(storage=storage, study_name="old loss", direction="minimize")
    ranges = {
        "x": FloatDistribution(1e-3, 1.0, log=True),
        "kind": CategoricalDistribution(("a", "b")),
    }
    for state, value, intermediate in (
        (TrialState.COMPLETE, 0.5, {}),
        (TrialState.FAIL, None, {}),
        (TrialState.PRUNED, None, {1: 0.9, 2: 0.8}),
        (TrialState.COMPLETE, math.inf, {}),
        (TrialState.RUNNING, None, {}),
        (TrialState.WAITING, None, {}),
        (TrialState.COMPLETE, 0.2, {}),
        (TrialState.PRUNED, None, {}),
    ):
        study.add_trial(
            create_trial(
                state=state,
                value=value,
                params={"x": 0.1, "kind": "a"},
                distributions=ranges,
                intermediate_values=intermediate,
            )
        )
    storage.remove_session()
    storage.engine.dispose()
    return url


def test_any_study_is_an_arm_with_failures_scored_as_the_worst(foreign: str):
    found = foreign_arm(f"{foreign}::old loss")
    arm, notes = found.arm, found.notes
    assert found.minimized
    assert arm.name == "old loss"
    assert arm.scores.tolist() == [-0.5, -0.5, -0.5, -0.5, -0.2, -0.5]
    assert arm.failed.tolist() == [False, True, False, True, False, False]
    assert arm.pruned.tolist() == [False, False, True, False, False, True]
    assert arm.sampler == "unknown"
    assert arm.ranges == {"x": "0.001 .. 1, log", "kind": "a, b"}
    assert any("2 unfinished trials are left out" in note for note in notes)


def test_the_direction_and_the_name_of_a_foreign_study_can_be_given(foreign: str):
    reading = Reading(direction="maximize")
    found = arm_of(study_at(parse(f"{foreign}::old loss")), name="mine", reading=reading)
    arm = found.arm
    assert not found.minimized
    assert arm.name == "mine"
    assert arm.scores.tolist() == [0.5, 0.2, 0.2, 0.2, 0.2, 0.2]
    assert any("says minimize; direction=maximize overrides" in note for note in found.notes)


@pytest.mark.slow
def test_our_own_study_read_as_a_foreign_one_gives_the_same_scores(store: Store):
    enqueue(store, comparison(retrain_seeds=0))
    work_here(store)
    found = foreign_arm(f"{store.engine.url}::small/new")
    assert np.array_equal(found.arm.scores, arms(store, "small")[0][1].scores)
    assert found.arm.sampler == "random"
    assert found.notes == ()


def test_reading_a_foreign_database_changes_nothing_in_it(foreign: str, tmp_path: Path):
    before = (tmp_path / "foreign.db").read_bytes()
    foreign_arm(f"{foreign}::old loss")
    assert (tmp_path / "foreign.db").read_bytes() == before


def test_a_foreign_study_that_cannot_be_compared_is_refused(foreign: str, tmp_path: Path):
    with pytest.raises(InvalidInput, match=r"'old los': is not in .*; did you mean 'old loss'\?"):
        foreign_arm(f"{foreign}::old los")
    with pytest.raises(DatabaseProblem, match="there is no file"):
        foreign_arm(f"sqlite:///{tmp_path}/missing.db::old")
    assert not (tmp_path / "missing.db").exists()
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.execute("create table other (a int)")
    with pytest.raises(DatabaseProblem, match="holds no Optuna studies"):
        foreign_arm(f"sqlite:///{tmp_path}/other.db::old")


def test_a_storage_with_one_study_need_not_name_it(foreign: str):
    assert foreign_arm(foreign).arm.name == "old loss"
    storage = optuna.storages.RDBStorage(foreign)
    optuna.create_study(storage=storage, study_name="new loss")
    storage.engine.dispose()
    with pytest.raises(InvalidInput, match=r"holds 2 studies: new loss, old loss; name one of"):
        foreign_arm(foreign)


RANDOM = Reading(sampler="random")


def losses(name: str, sign: float) -> optuna.Study:
    """A study of 30 random trials that minimizes a multiple of what is drawn."""
    study = optuna.create_study(
        study_name=name, sampler=optuna.samplers.RandomSampler(seed=round(sign))
    )
    study.optimize(lambda trial: sign * trial.suggest_float("x", 0.1, 1), n_trials=30)
    return study


@pytest.fixture(autouse=True)
def quiet_optuna():
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(before)


def test_studies_in_memory_are_compared_the_new_one_first():
    better, worse = losses("better", 1.0), losses("worse", 3.0)
    comparison = judged_studies(
        [better, worse], Protocol(target=0.5, unit="loss", rope=0.0), reading=RANDOM
    )
    assert comparison.protocol.primary == ("better", "worse")
    assert comparison.protocol.target == -0.5
    assert comparison.verdict.winner == "better"
    turned = judged_studies([worse, better], Protocol(unit="loss", rope=0.0), reading=RANDOM)
    assert turned.contrasts[0].first == "worse"
    assert turned.contrasts[0].best_of_k.value < 0
    assert turned.verdict.winner == "better"


def test_studies_that_say_what_drew_them_are_noted_where_another_sampler_is_given():
    with pytest.raises(UnknownName, match="'rand' is unknown; did you mean 'random'"):
        judged_studies(
            [losses("a", 1.0), losses("b", 2.0)], Protocol(), reading=Reading(sampler="rand")
        )
    with pytest.raises(InvalidInput, match=r"0.3 is ±30 points; for ±0.3 points give 0.003"):
        judged_studies([], Protocol(rope=0.3))


def test_studies_and_addresses_are_compared_in_one_call(optunas_sqlite: Path, tmp_path: Path):
    kept = []
    for name, sign in (("better", 1.0), ("worse", 3.0)):
        kept.append(str(shutil.copy(optunas_sqlite, tmp_path / f"{name}.db")))
        optuna.copy_study(
            from_study_name=name,
            from_storage=losses(name, sign)._storage,
            to_storage=f"sqlite:///{kept[-1]}",
        )
    studies = [losses("better", 1.0), losses("worse", 3.0)]
    found = compare_studies(
        *studies, target=0.5, k=2, unit="loss", sampler="random", names=("new", "old")
    )
    expected = judged_studies(
        studies, Protocol(target=0.5, k=2, unit="loss", rope=0), reading=RANDOM
    )
    assert found.contrasts[0].best_of_k == expected.contrasts[0].best_of_k
    assert (found.names, found.verdict.winner, found.protocol.target) == (
        ["new", "old"],
        "new",
        -0.5,
    )
    addressed = compare_studies(*kept, target=0.5, k=2, unit="loss", sampler="random")
    assert addressed.contrasts[0].best_of_k == expected.contrasts[0].best_of_k
    assert compare_studies(*studies).contrasts[0].best_of_k is None  # nobody said what drew them


def test_a_study_alone_is_not_compared():
    with pytest.raises(InvalidInput, match="needs at least two arms, the new one and what it is"):
        judged_studies([losses("a", 1.0)], Protocol(unit="loss"))


def test_a_study_is_not_held_against_itself():
    study = losses("a", 1.0)
    with pytest.raises(InvalidInput, match="study 'a' is given twice"):
        judged_studies([study, losses("b", 2.0), study], Protocol(unit="loss"))


def test_a_study_given_twice_is_named_without_its_password():
    twice = "postgresql://u:secret@127.0.0.1:1/db::a"
    with pytest.raises(InvalidInput, match=r"u:\*\*\*@127\.0\.0\.1:1/db::a' is given twice"):
        judged_studies([twice, twice], Protocol())


def test_studies_of_a_database_are_named_and_not_addressed(store: Store):
    for name in ("a", "b"):
        study = optuna.create_study(storage=store.rdb, study_name=name, direction="maximize")
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    found = stored_studies(store, ["b", "a"])
    assert [study.study_name for study in found] == ["b", "a"]
    with pytest.raises(NotFound, match=r"there is no study 'c' \(there are a, b\)"):
        stored_studies(store, ["a", "c"])


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (("new.db::s", "old.db::s"), ["new", "old"]),
        (("x/run.db::s", "y/run.db::s"), ["x/run", "y/run"]),
        (("a.db::s", "b.db::s", "c.db::t"), ["a", "b", "t"]),
    ],
)
def test_arms_are_called_by_what_tells_them_apart(
    files: Sequence[str],
    names: list[str],
    optunas_sqlite: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(tmp_path)
    for each in files:
        path, _, name = each.partition("::")
        Path(path).parent.mkdir(exist_ok=True)
        shutil.copy(optunas_sqlite, path)
        made = optuna.create_study(storage=f"sqlite:///{path}", study_name=name)
        made.add_trials([create_trial(value=value / 10) for value in range(5)])
    assert judged_studies(files, Protocol(unit="loss")).names == names
    given = judged_studies(files, Protocol(unit="loss"), names=("mine", "theirs")).names
    assert given == ["mine", "theirs", *names[2:]]
    if names[0] == "new":
        assert "new: study 's' of new.db" in judged_studies(files, Protocol(unit="loss")).notes
    with pytest.raises(InvalidInput, match="two studies are called 'mine'"):
        judged_studies(files, Protocol(unit="loss"), names=("mine", "mine"))


def test_studies_of_one_name_from_python_are_told_apart_by_the_caller():
    studies = [losses("a", 1.0), losses("a", 2.0)]
    with pytest.raises(InvalidInput, match="tell them apart with names"):
        judged_studies(studies, Protocol(unit="loss"))
    assert judged_studies(studies, Protocol(unit="loss"), names=("b", "a")).names == ["b", "a"]
