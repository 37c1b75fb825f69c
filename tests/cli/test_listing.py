"""``tuner compare STORAGE`` lists the studies in it and says what to type next."""

import shutil
from pathlib import Path

import optuna
import pytest
from optuna.trial import create_trial
from rich.console import Console

from tests.cli.commands import tuner
from tuner.cli.listing import print_studies
from tuner.errors import DatabaseProblem
from tuner.search.foreign.address import names_storage


@pytest.fixture(autouse=True)
def here(optunas_sqlite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(optunas_sqlite, "a.db")
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def listed(storage: str) -> str:
    console = Console(width=200, force_terminal=False)
    with console.capture() as captured:
        print_studies(storage, console)
    return captured.get()


def test_the_studies_of_a_storage_are_listed_with_their_trials():
    storage = optuna.storages.RDBStorage("sqlite:///a b.db")
    for name, values in (("new [b]", 3), ("old", 5)):
        study = optuna.create_study(storage=storage, study_name=name, direction="maximize")
        study.add_trials([create_trial(value=value) for value in range(values)])
    study.ask()
    told = listed("a b.db").splitlines()
    assert told[0] == "a b.db holds 2 studies"
    assert [line.split() for line in told[2:4]] == [
        ["new", "[b]", "3", "of", "3", "maximize"],
        ["old", "5", "of", "6", "maximize"],
    ]
    assert told[-1] == "  tuner compare 'a b.db::new [b]' 'a b.db::old'"


def test_of_many_studies_the_names_alone_are_listed():
    storage = optuna.storages.RDBStorage("sqlite:///a.db")
    for number in range(130):
        storage.create_new_study([optuna.study.StudyDirection.MINIMIZE], f"study {number:03}")
    told = listed("sqlite:///a.db")
    assert "a.db holds 130 studies" in told and "study 099" in told
    assert "study 100" not in told and "and 30 more" in told
    assert "trials are counted of 20 studies at most" in told


def test_a_study_without_a_name_is_listed_and_not_suggested():
    storage = optuna.storages.RDBStorage("sqlite:///a.db")
    for name in ("", "  ", "old"):
        storage.create_new_study([optuna.study.StudyDirection.MINIMIZE], name)
    told = listed("a.db").splitlines()
    assert told[0] == "a.db holds 3 studies"
    assert told[-1] == "  tuner compare a.db::old OTHER_STORAGE::STUDY"


def test_a_storage_without_studies_says_so():
    assert listed("a.db") == "a.db holds no studies\n"


def test_control_characters_are_neither_shown_nor_lost():
    storage = optuna.storages.RDBStorage("sqlite:///a.db")
    for name in ("esc\x1b[31m", "plain"):
        storage.create_new_study([optuna.study.StudyDirection.MINIMIZE], name)
    told = listed("a.db")
    assert "\x1b" not in told and "esc\ufffd[31m" in told
    assert told.splitlines()[-1] == r"  tuner compare $'a.db::esc\x1b[31m' a.db::plain"


def test_a_folder_of_studies_needs_no_slash_and_another_one_is_spoken_of(tmp_path: Path):
    run = tmp_path / "mlruns" / "0" / "run"
    (run / "metrics").mkdir(parents=True)
    (run / "meta.yaml").write_text("run_id: run\nstatus: 3\n", encoding="utf-8")
    assert tuner("compare", "mlruns").stdout.startswith("mlruns holds 1 study\n")
    (tmp_path / "sweeps").mkdir()
    told = tuner("compare", "sweeps").stderr
    assert "if the folder of that name is meant, write ./sweeps" in told


def test_a_storage_that_is_not_there_is_named():
    assert names_storage("nofile.db")
    with pytest.raises(DatabaseProblem, match=r"there is no file nofile\.db"):
        listed("nofile.db")
