import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from comparisons import comparison, enqueue
from light_trainer import (
    DyingTrainer,
    ForgetfulTrainer,
    LightTrainer,
    LostTrainer,
    PickyTrainer,
    SuicidalTrainer,
)
from optuna.trial import FrozenTrial

from tuner.errors import InvalidInput, TunerError
from tuner.search.database.finished import finished_trials
from tuner.search.database.store import open_store
from tuner.search.declared.spec import ComparisonSpec
from tuner.search.queue.queue import Queue
from tuner.search.watch.progress import study_progress
from tuner.search.work import launch
from tuner.search.work.crew import orphaned
from tuner.search.work.torch_trainer import TorchTrainer

HERE = Path(__file__).parents[1]
ONE_ARM = [{"name": "old", "space": "magnitude"}]


@pytest.fixture
def sqlite(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/tuner.db"


@pytest.fixture
def at_once(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A run of the small comparison in a process of its own, to be interrupted."""
    script = tmp_path / "at_once.py"
    script.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(HERE)!r})\n"
        "from comparisons import comparison\n"
        "from light_trainer import SlowTrainer\n"
        "from tuner.search.work import launch, surroundings\n"
        "surroundings.IMPORTED = ['tuner.search.work.crew']  # this trainer needs no torch\n"
        "if __name__ == '__main__':\n"
        "    spec = comparison(n_trials=24, retrain_seeds=0)\n"
        "    launch.run(spec, database=sys.argv[1], workers=2, make_trainer=SlowTrainer)\n"
    )
    process = subprocess.Popen(
        [sys.executable, str(script), f"sqlite:///{tmp_path}/tuner.db"], stderr=subprocess.PIPE
    )
    yield process
    process.kill()
    process.communicate()


def run(spec: ComparisonSpec, database: str, workers: int, trainer: type = LightTrainer):
    return launch.run(spec, database=database, workers=workers, make_trainer=trainer)


def outcomes(database: str, study_name: str) -> dict[int, tuple[dict[str, object], float | None]]:
    """Index -> parameters and value of every finished trial."""
    with closing(open_store(database)) as store:
        return {
            trial.user_attrs["index"]: (trial.params, trial.value)
            for trial in finished_trials(store, study_name)
        }


def all_trials(database: str, study_name: str) -> list[FrozenTrial]:
    with closing(open_store(database)) as store:
        study_id = store.rdb.get_study_id_from_name(study_name)
        return store.rdb.get_all_trials(study_id)


@pytest.mark.slow
def test_eight_workers_on_200_trials_complete_exactly_200_and_none_twice(database: str):
    spec = comparison(
        arms=ONE_ARM, verdict={}, n_trials=200, retrain_seeds=0, workload={"epochs": 1}
    )
    end = run(spec, database, 8)
    trials = all_trials(database, "small/old")
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 200
    assert sorted(trial.user_attrs["index"] for trial in trials) == list(range(200))
    assert end.complete
    assert (end.arms[0].done, end.arms[0].running, end.arms[0].failed) == (200, 0, 0)


@pytest.mark.slow
def test_random_search_gives_the_same_trials_with_one_worker_and_with_three(tmp_path: Path):
    one, three = (f"sqlite:///{tmp_path}/{name}.db" for name in ("one", "three"))
    end = run(comparison(), one, 1)
    run(comparison(), three, 3)
    for study in comparison().every_study():
        study_name = study.study_name
        assert outcomes(one, study_name) == outcomes(three, study_name) != {}
    best = max(value for _, value in outcomes(one, "small/new").values() if value is not None)
    assert end.arms[1].best == best
    assert end.arms[1].retrained == end.arms[1].to_retrain == 3 + 2


@pytest.mark.slow
def test_workers_killed_in_the_middle_of_training_lose_nothing(
    sqlite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LIVES", str(tmp_path))
    spec = comparison(retrain_seeds=0)
    end = run(spec, sqlite, 2, SuicidalTrainer)
    assert (tmp_path / "2").exists()
    assert end.complete
    undisturbed = f"sqlite:///{tmp_path}/undisturbed.db"
    run(spec, undisturbed, 1)
    for study_name in ("small/old", "small/new"):
        assert outcomes(sqlite, study_name) == outcomes(undisturbed, study_name) != {}
        assert len(all_trials(sqlite, study_name)) == 6


def wait_for_trials(process: subprocess.Popen[bytes], database: str, n_trials: int) -> None:
    while process.poll() is None:
        time.sleep(0.05)
        try:
            with closing(open_store(database, must_exist=True)) as store:
                study = study_progress(store, "small").get("small/old")
        except TunerError:  # not made yet
            continue
        if study is not None and study.done >= n_trials:
            return
    raise AssertionError(process.stderr and process.stderr.read())


@pytest.mark.slow
@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_interrupted_resumes_and_finishes_exactly_the_missing_trials(
    at_once: subprocess.Popen[bytes], sqlite: str, tmp_path: Path, signal_number: int
):
    wait_for_trials(at_once, sqlite, 4)
    at_once.send_signal(signal_number)
    at_once.wait(60)
    before = outcomes(sqlite, "small/old")
    names = {trial.state.name for trial in all_trials(sqlite, "small/old")}
    assert "RUNNING" not in names
    assert 0 < len(before) < 24
    spec = comparison(n_trials=24, retrain_seeds=0)
    assert run(spec, sqlite, 2).complete
    after = outcomes(sqlite, "small/old")
    assert before.items() <= after.items()
    assert len(all_trials(sqlite, "small/old")) == 24
    undisturbed = f"sqlite:///{tmp_path}/undisturbed.db"
    run(spec, undisturbed, 2)
    assert after == outcomes(undisturbed, "small/old")


@pytest.mark.slow
def test_workers_whose_launcher_is_killed_put_their_trials_back(
    at_once: subprocess.Popen[bytes], sqlite: str
):
    wait_for_trials(at_once, sqlite, 4)
    at_once.kill()
    at_once.wait(60)
    with closing(open_store(sqlite)) as store:
        queue = Queue(store)
        while any(study.running for study in study_progress(queue.store, "small").values()):
            time.sleep(0.05)
    assert run(comparison(n_trials=24, retrain_seeds=0), sqlite, 2).complete


@pytest.mark.slow
def test_trials_whose_launcher_is_gone_do_not_wait_for_their_leases(sqlite: str):
    spec = comparison(n_trials=2, retrain_seeds=0)
    gone = subprocess.Popen(["true"])
    gone.wait()
    with closing(open_store(sqlite)) as store:
        enqueue(store, spec)
        lost = f"{socket.gethostname()}-{gone.pid}-0-c0ffee"
        assert Queue(store, lease_seconds=1e6).claim("small/old", lost, range(2)).trial_ids
    assert run(spec, sqlite, 1).complete


def test_only_workers_of_this_machine_whose_launcher_is_gone_are_orphaned():
    gone = subprocess.Popen(["true"])
    gone.wait()
    here = socket.gethostname()
    assert orphaned(f"{here}-{gone.pid}-0-c0ffee")
    assert not orphaned(f"not-{here}-{gone.pid}-0-c0ffee")
    assert not orphaned(f"{here}-{os.getpid()}-0-c0ffee")
    assert not orphaned(here)


@pytest.mark.slow
def test_a_finished_comparison_is_not_run_again(sqlite: str):
    spec = comparison(n_trials=2, retrain_seeds=0)
    run(spec, sqlite, 1)
    before = outcomes(sqlite, "small/old")
    assert run(spec, sqlite, 1, DyingTrainer).complete
    assert outcomes(sqlite, "small/old") == before


@pytest.mark.slow
def test_workers_that_die_again_and_again_end_in_one_line(sqlite: str):
    with pytest.raises(
        TunerError, match=r"worker processes stopped .* signal 9 \(SIGKILL\); .* to resume"
    ):
        run(comparison(), sqlite, 1, DyingTrainer)
    assert {trial.state.name for trial in all_trials(sqlite, "small/old")} == {"WAITING"}


@pytest.mark.slow
def test_a_missing_data_set_ends_the_run_in_its_own_words(sqlite: str):
    with pytest.raises(TunerError, match=r"^data set 'digits' is not there; put it in /data$"):
        run(comparison(), sqlite, 2, LostTrainer)
    assert {trial.state.name for trial in all_trials(sqlite, "small/old")} == {"WAITING"}


@pytest.mark.slow
def test_a_trial_that_always_raises_fails_alone(sqlite: str, monkeypatch: pytest.MonkeyPatch):
    spec = comparison(retrain_seeds=0)
    seeds = [spec.studies()[0].trial_seed(index) for index in (1, 2)]
    monkeypatch.setenv("POISON", ",".join(map(str, seeds)))
    end = run(spec, sqlite, 1, PickyTrainer)
    assert end.complete
    assert [arm.failed for arm in end.arms] == [2, 2]
    trials = all_trials(sqlite, "small/old")
    assert [t.user_attrs["index"] for t in trials if t.state.name == "FAIL"] == [1, 2]
    assert f"ArithmeticError: seed {seeds[0]} is poisonous" in trials[1].user_attrs["error"]


@pytest.mark.slow
def test_a_passing_failure_fails_no_trial(sqlite: str):
    end = run(comparison(retrain_seeds=0), sqlite, 1, ForgetfulTrainer)
    assert end.complete
    assert [arm.failed for arm in end.arms] == [0, 0]


@pytest.mark.slow
def test_another_declaration_under_the_same_name_is_refused_before_anything_runs(sqlite: str):
    run(comparison(n_trials=2, retrain_seeds=0), sqlite, 1)
    with pytest.raises(InvalidInput, match="holds another declaration under this name"):
        run(comparison(n_trials=3, retrain_seeds=0), sqlite, 1)


def test_no_workers_are_refused_before_the_database_is_made(tmp_path: Path):
    with pytest.raises(InvalidInput, match="workers must be at least 1, got 0"):
        run(comparison(), f"sqlite:///{tmp_path}/a.db", 0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_launching_process_never_loads_torch():
    modules = "tuner.search.work.launch, tuner.search.results.arms"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_progress_is_reported_from_the_first_trial_to_the_last(sqlite: str):
    seen: list[launch.Progress] = []
    spec = comparison(retrain_seeds=0)
    launch.run(
        spec, database=sqlite, workers=1, on_progress=seen.append, make_trainer=LightTrainer
    )
    done = [sum(arm.done for arm in progress.arms) for progress in seen]
    assert done[0] == 0
    assert done == sorted(done)
    assert done[-1] == 12
    assert [arm.total for arm in seen[0].arms] == [6, 6]


@pytest.mark.slow
def test_environment_and_signals_are_as_before_after_a_run(sqlite: str):
    environment = dict(os.environ)
    handler = signal.getsignal(signal.SIGTERM)
    run(comparison(n_trials=1, retrain_seeds=0), sqlite, 1)
    assert dict(os.environ) == environment
    assert signal.getsignal(signal.SIGTERM) is handler


@pytest.mark.slow
def test_a_gpu_that_torch_cannot_use_is_refused_with_the_way_out(
    sqlite: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "no-such-gpu")
    with pytest.raises(TunerError, match="set CUDA_VISIBLE_DEVICES to nothing to train on the"):
        run(comparison(), sqlite, 1, TorchTrainer)
