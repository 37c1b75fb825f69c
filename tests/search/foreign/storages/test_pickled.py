import pickle
import sys
from collections.abc import Callable
from datetime import datetime
from enum import Enum
from pathlib import Path
from types import ModuleType

import joblib
import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.study import Study
from optuna.trial import Trial, TrialState

from tuner.errors import InvalidInput
from tuner.search.foreign.address import Address
from tuner.search.foreign.record import StudyRecord, record_of
from tuner.search.foreign.storages import pickled
from tuner.search.foreign.storages.kinds import opened


def objective(trial: Trial) -> float:
    x = trial.suggest_float("x", 1e-3, 1, log=True)
    n = trial.suggest_int("n", 1, 9, step=2)
    kind = trial.suggest_categorical("kind", ["a", None, True])
    trial.report(x, step=0)
    if trial.number == 3:
        raise optuna.TrialPruned
    return float(np.float64(x * n)) + (kind == "a")


@pytest.fixture(scope="module")
def study() -> Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    made = optuna.create_study(study_name="mine", direction="maximize")
    made.set_user_attr("array", np.arange(5.0))
    made.optimize(objective, n_trials=12)
    return made


def read(path: Path) -> dict[str, StudyRecord]:
    assert pickled.recognises(path)
    with opened(Address(str(path), None)) as studies:
        return dict(studies)


def same(record: StudyRecord, study: Study) -> bool:
    wanted = record_of(study)
    return (
        record.name == wanted.name
        and record.directions == wanted.directions
        and [fields(trial) for trial in record.trials] == [fields(each) for each in wanted.trials]
    )


def fields(trial: optuna.trial.FrozenTrial) -> dict[str, object]:
    return {name: value for name, value in vars(trial).items() if name != "_trial_id"}


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickled_study_has_all_that_it_had(study, tmp_path, protocol):
    path = tmp_path / "study.pkl"
    path.write_bytes(pickle.dumps(study, protocol))
    assert same(read(path)["mine"], study)


@pytest.mark.parametrize("how", [0, ("gzip", 3), ("zlib", 3), ("zlib", 9), "bz2", "xz", "lzma"])
def test_a_study_of_joblib_is_read_over_the_arrays_in_it(study, tmp_path, how):
    path = tmp_path / "study.joblib"
    joblib.dump(study, path, compress=how)
    assert same(read(path)["mine"], study)


def test_an_array_of_the_joblib_in_old_scikit_learn_is_read_over(study, tmp_path):
    path = tmp_path / "study.joblib"
    joblib.dump([np.arange(3), study], path, protocol=2)
    name = b"cjoblib.numpy_pickle\n"
    assert name in path.read_bytes()
    old = path.read_bytes().replace(name, b"csklearn.externals.joblib.numpy_pickle\n")
    path.write_bytes(old.replace(b"numpy_array_alignment_bytes", b"no_such_alignment_was_known"))
    with pytest.raises(InvalidInput, match="cannot be read"):
        read(path)  # the padding that the alignment asks for is there, and now unknown
    path.write_bytes(old)
    assert same(read(path)["mine"], study)


def test_an_attribute_that_holds_itself_is_refused(tmp_path):
    study = optuna.create_study(study_name="mine")
    endless: list[object] = []
    endless.append(endless)
    study._storage._studies[0].user_attrs["endless"] = endless
    (tmp_path / "s.pkl").write_bytes(pickle.dumps(study))
    with pytest.raises(InvalidInput, match="an attribute of its study holds itself"):
        read(tmp_path / "s.pkl")


def test_a_range_that_no_optuna_can_have_is_refused_with_its_trial(tmp_path):
    study = optuna.create_study(study_name="mine")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1, step=0.5), n_trials=1)
    vars(study._storage._studies[0].trials[0].distributions["x"])["step"] = 1e-300
    (tmp_path / "s.pkl").write_bytes(pickle.dumps(study))
    with pytest.raises(InvalidInput, match=r"trial 0: .*export the study with the Optuna"):
        read(tmp_path / "s.pkl")


def test_an_array_of_objects_is_read_over_too(study, tmp_path):
    path = tmp_path / "study.joblib"
    joblib.dump([np.array([None, "a"], dtype=object), study], path)
    assert same(read(path)["mine"], study)


def test_several_objectives_keep_their_names_and_directions(tmp_path):
    study = optuna.create_study(study_name="two", directions=["minimize", "maximize"])
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        study.set_metric_names(["loss", "accuracy"])
    study.optimize(lambda trial: (trial.suggest_float("x", 0, 1), 2.0), n_trials=2)
    (tmp_path / "s.pkl").write_bytes(pickle.dumps({"run": study}))
    record = read(tmp_path / "s.pkl")["two"]
    assert record.objectives == ("loss", "accuracy")
    assert record.directions == ("minimize", "maximize")
    assert record.trials[0].values == study.trials[0].values


def test_studies_of_one_name_are_told_apart(study, tmp_path):
    again = optuna.create_study(study_name="mine")
    (tmp_path / "s.pkl").write_bytes(pickle.dumps([study, again]))
    studies = read(tmp_path / "s.pkl")
    assert {name: len(each.trials) for name, each in studies.items()} == {
        "mine": 12,
        "mine (2)": 0,
    }


def test_a_list_of_trials_is_a_study_without_direction(study, tmp_path):
    (tmp_path / "trials.pkl").write_bytes(pickle.dumps(study.trials))
    record = read(tmp_path / "trials.pkl")["trials"]
    assert record.directions == ()
    assert [each.params for each in record.trials] == [each.params for each in study.trials]


def test_a_pickled_storage_has_all_its_studies(tmp_path):
    storage = optuna.storages.InMemoryStorage()
    for name in ("one", "two"):
        optuna.create_study(study_name=name, storage=storage)
    (tmp_path / "storage.pkl").write_bytes(pickle.dumps(storage))
    assert set(read(tmp_path / "storage.pkl")) == {"one", "two"}


class Harm:
    """What a pickle can hold: a call of any function."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return exec, (f"open({str(self.path)!r}, 'w')",)


def test_nothing_in_a_pickle_is_run(study, tmp_path):
    (tmp_path / "study.pkl").write_bytes(pickle.dumps([Harm(tmp_path / "harm"), study]))
    assert same(read(tmp_path / "study.pkl")["mine"], study)
    assert not (tmp_path / "harm").exists()


def test_no_pickle_alters_what_stands_for_a_function(tmp_path):
    altering = b"\x80\x02cbuiltins\ngetattr\n}X\x05\x00\x00\x00_makeK\x01sb."
    (tmp_path / "study.pkl").write_bytes(altering)
    with pytest.raises(InvalidInput, match="sets the attributes of a function"):
        read(tmp_path / "study.pkl")


def test_a_sampler_of_a_library_that_is_not_installed_is_read_over(study, tmp_path, monkeypatch):
    library = old_module(monkeypatch, "absent_library", ["Sampler"])
    whole = pickle.dumps([library.Sampler(), study])
    monkeypatch.delitem(sys.modules, "absent_library")
    (tmp_path / "study.pkl").write_bytes(whole)
    assert same(read(tmp_path / "study.pkl")["mine"], study)


def old_module(monkeypatch: pytest.MonkeyPatch, name: str, classes: list[str]) -> ModuleType:
    """A module as an old Optuna had it, with classes that keep any attributes."""
    module = ModuleType(name)
    for each in classes:
        setattr(module, each, type(each, (), {"__module__": name}))
    monkeypatch.setitem(sys.modules, name, module)
    return module


def made(kind: type, **attributes: object) -> object:
    instance = kind()
    vars(instance).update(attributes)
    return instance


def test_a_study_of_optuna_1_has_its_values_and_ranges(tmp_path, monkeypatch):
    structs = old_module(monkeypatch, "optuna.structs", ["FrozenTrial"])
    state = Enum("TrialState", {"COMPLETE": 1}, module="optuna.structs")
    direction = Enum("StudyDirection", {"MAXIMIZE": 2}, module="optuna.structs")
    structs.TrialState, structs.StudyDirection = state, direction
    ranges = old_module(
        monkeypatch,
        "optuna.old_distributions",
        [
            *("UniformDistribution", "LogUniformDistribution", "DiscreteUniformDistribution"),
            *("IntUniformDistribution", "IntLogUniformDistribution", "CategoricalDistribution"),
        ],
    )
    kept = old_module(monkeypatch, "optuna.old", ["Study", "InMemoryStorage"])
    distributions = {
        "u": made(ranges.UniformDistribution, low=0.0, high=2.0),
        "l": made(ranges.LogUniformDistribution, low=0.1, high=1.0),
        "d": made(ranges.DiscreteUniformDistribution, low=0.0, high=1.0, q=0.25),
        "i": made(ranges.IntUniformDistribution, low=1, high=5),
        "j": made(ranges.IntLogUniformDistribution, low=1, high=8, step=1),
        "c": made(ranges.CategoricalDistribution, choices=("a", ("b", 1))),
    }
    trial = made(
        structs.FrozenTrial,
        _number=0,
        state=state.COMPLETE,
        _value=0.5,
        _datetime_start=datetime(2020, 1, 2),
        datetime_complete=datetime(2020, 1, 3),
        _params={"u": 1.5, "l": 0.2, "d": 0.5, "i": 2, "j": 4, "c": ("b", 1)},
        _distributions=distributions,
        _user_attrs={},
        _system_attrs={},
        intermediate_values={1: 0.4},
        _trial_id=7,
    )
    storage = made(
        kept.InMemoryStorage,
        trials=[trial],
        direction=direction.MAXIMIZE,
        study_name="old",
        study_user_attrs={"why": "to see"},
        study_system_attrs={},
    )
    study = made(kept.Study, study_name="old", study_id=0, _storage=storage)
    (tmp_path / "study.pkl").write_bytes(pickle.dumps(study))
    record = read(tmp_path / "study.pkl")["old"]
    read_trial = record.trials[0]
    assert (record.directions, record.user_attrs) == (("maximize",), {"why": "to see"})
    assert read_trial.values == [0.5]
    assert read_trial.datetime_start == datetime(2020, 1, 2)
    assert read_trial.intermediate_values == {1: 0.4}
    assert read_trial.params["c"] == '["b", 1]'
    assert read_trial.distributions == {
        "u": FloatDistribution(0, 2),
        "l": FloatDistribution(0.1, 1, log=True),
        "d": FloatDistribution(0, 1, step=0.25),
        "i": IntDistribution(1, 5),
        "j": IntDistribution(1, 8, log=True),
        "c": CategoricalDistribution(("a", '["b", 1]')),
    }


def test_a_trial_that_was_a_tuple_takes_the_ranges_of_its_study(tmp_path, monkeypatch):
    structs = old_module(monkeypatch, "optuna.structs", ["Study", "InMemoryStorage"])
    old_tuple = type("FrozenTrial", (tuple,), {"__module__": "optuna.structs"})
    old_range = type("UniformDistribution", (tuple,), {"__module__": "optuna.structs"})
    old_tuple.__getnewargs__ = old_range.__getnewargs__ = lambda self: tuple(self)
    old_tuple.__new__ = old_range.__new__ = lambda cls, *args: tuple.__new__(cls, args)
    structs.FrozenTrial, structs.UniformDistribution = old_tuple, old_range
    structs.TrialState = Enum("TrialState", {"PRUNED": 2}, module="optuna.structs")
    trial = old_tuple(0, structs.TrialState.PRUNED, 0.5, None, None, {"x": 1.0}, {}, {}, {}, {})
    storage = made(
        structs.InMemoryStorage, trials=[trial], param_distribution={"x": old_range(0.0, 2.0)}
    )
    study = made(structs.Study, study_name="older", storage=storage)
    (tmp_path / "study.pkl").write_bytes(pickle.dumps(study))
    read_trial = read(tmp_path / "study.pkl")["older"].trials[0]
    assert (read_trial.state, read_trial.values) == (TrialState.PRUNED, [0.5])
    assert read_trial.distributions == {"x": FloatDistribution(0, 2)}


def test_a_study_that_is_elsewhere_is_named_without_its_password(tmp_path, monkeypatch):
    kept = old_module(monkeypatch, "optuna.old", ["Study", "RDBStorage", "_CachedStorage"])
    inner = made(kept.RDBStorage, url="postgresql://ann:secret@host/name")
    storage = made(kept._CachedStorage, _backend=inner)
    study = made(kept.Study, study_name="far", _storage=storage)
    (tmp_path / "study.pkl").write_bytes(pickle.dumps(study))
    with pytest.raises(
        InvalidInput, match=r"read them there: postgresql://ann:\*\*\*@host"
    ) as error:
        read(tmp_path / "study.pkl")
    assert "secret" not in str(error.value)
    assert "::far" in str(error.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            pickle.dumps({"a": 1}),
            "must hold a study of Optuna's or a list of its trials, got dict",
        ),
        (pickle.dumps({"a": "b" * 99})[:-9], "cannot be read"),
        (b"\x80\x04no pickle", "cannot be read"),
    ],
)
def test_a_pickle_of_no_study_is_refused(tmp_path, content, words):
    (tmp_path / "other.pkl").write_bytes(content)
    with pytest.raises(InvalidInput, match=words):
        read(tmp_path / "other.pkl")
