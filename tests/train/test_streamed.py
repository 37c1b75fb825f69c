"""Samples that are read whenever they are needed train as those that are held in memory do."""

import traceback
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tuner.bnn.data.ahead import in_turn
from tuner.bnn.data.dataset import load_data
from tuner.bnn.data.streamed import Rows
from tuner.errors import Interrupted, InvalidInput
from tuner.train import Keep, TrialConfig, check, train
from tuner.trial import TrialResult
from tuner.workload import Workload

MODULE = "own_for_tests"
HOME = Path(__file__).resolve().parents[1] / "bnn"
TRIALS = [TrialConfig("filter_flip", {"alpha": 1e-2}, seed) for seed in (1, 2)]


@pytest.fixture(autouse=True)
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HOME))
    monkeypatch.setenv("TUNER_WORKLOADS", MODULE)


def workload(kind: str, **more: object) -> Workload:
    named = {"dataset": f"{MODULE}:read_when_needed", "dataset_options": {"kind": kind}}
    return Workload(**named, widths=(16, 16), epochs=2, batch_size=16, **more)


def curves(results: list[TrialResult]) -> list[list[tuple[float, float]]]:
    return [[(p.train_loss, p.val_accuracy) for p in result.curve] for result in results]


def test_mapped_samples_train_to_the_last_bit_as_those_in_memory():
    mapped, held = workload("mapped", n_train=60), workload("held", n_train=60)
    assert isinstance(load_data(mapped).train.images, Rows)
    assert isinstance(load_data(held).train.images, torch.Tensor)
    ours, theirs = train(mapped, TRIALS, test=True), train(held, TRIALS, test=True)
    assert curves(ours) == curves(theirs)
    assert [r.test_hits for r in ours] == [r.test_hits for r in theirs]


def test_a_data_set_is_read_batch_by_batch_and_never_whole():
    import own_for_tests

    load_data(workload("counted"))
    own_for_tests.Counted.read = 0
    train(workload("counted"), TRIALS[:1])
    assert own_for_tests.Counted.read == 2 * (7 * 16 + 60)


def test_bytes_are_scaled_by_what_some_of_them_show():
    data = load_data(workload("bytes"))
    assert data.scaled and data.mean.shape == (4,)
    assert check(workload("bytes")) is not None


def test_what_is_drawn_when_it_is_read_comes_from_the_seed_so_a_run_goes_on_bit_for_bit(
    tmp_path: Path,
):
    noisy = workload("noisy")
    whole = train(noisy, TRIALS)
    with pytest.raises(Interrupted):
        train(noisy, TRIALS, keep=Keep(tmp_path, stopping=lambda: True))
    torch.manual_seed(99)
    epochs: list[int] = []
    again = train(noisy, TRIALS, lambda r: epochs.append(r.epoch) or (), keep=Keep(tmp_path))
    assert epochs == [2] and curves(again) == curves(whole)


@pytest.mark.parametrize(
    ("kind", "model", "ahead"),
    [
        ("counted", "mlp", True),
        ("noisy", "mlp", True),
        ("counted", f"{MODULE}:make", True),
        ("noisy", f"{MODULE}:make", False),  # dropout draws meanwhile
        ("bound", "mlp", False),
    ],
)
def test_samples_are_read_ahead_where_that_changes_no_bit(
    kind: str, model: str, ahead: bool, monkeypatch: pytest.MonkeyPatch
):
    import own_for_tests

    named = workload(kind)
    if model != "mlp":
        named = replace(named, model=model, widths=(), model_options={"dropout": 0.5})
    load_data(named)
    own_for_tests.Counted.readers.clear()
    once = train(named, TRIALS[:1], test=True)
    main = own_for_tests.Counted.readers & {"MainThread"}
    assert bool(own_for_tests.Counted.readers - main) == ahead
    monkeypatch.setattr("tuner.train.batches.ahead", in_turn)
    again = train(named, TRIALS[:1], test=True)
    assert curves(once) == curves(again)
    assert [r.test_hits for r in once] == [r.test_hits for r in again]


def test_what_reading_raises_in_training_ends_it_with_the_reader_s_own_traceback(
    monkeypatch: pytest.MonkeyPatch,
):
    import own_for_tests

    load_data(workload("late"))
    monkeypatch.setattr(own_for_tests.Late, "in_use", True)
    with pytest.raises(OSError, match="the disk is gone") as raised:
        train(workload("late"), TRIALS)
    assert "own_for_tests.py" in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("iterable", "Streamed cannot be streamed; it takes a torch data set with a length"),
        ("short", "needs one label for each sample"),
    ],
)
def test_what_cannot_be_read_sample_by_sample_is_refused(kind, words):
    with pytest.raises(InvalidInput, match=words):
        load_data(replace(workload(kind), split_seed=1))
