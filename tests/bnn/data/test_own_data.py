"""Data of the user's own: what a function may return, and what is refused."""

from pathlib import Path

import pytest
import torch

from tuner.bnn.data.dataset import Dataset, load_data
from tuner.errors import InvalidInput
from tuner.workload import Workload

MODULE = "own_for_tests"


@pytest.fixture(autouse=True)
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))
    monkeypatch.setenv("TUNER_WORKLOADS", MODULE)


def load(name: str, split_seed: int = 0, n_train: int = 0, **options: object) -> Dataset:
    workload = Workload(
        dataset=f"{MODULE}:{name}", dataset_options=options, split_seed=split_seed, n_train=n_train
    )
    return load_data(workload)


def test_without_a_validation_split_one_is_made_of_train_by_the_split_seed():
    data, other = load("two"), load("two", split_seed=1)
    assert (len(data.train), len(data.val), len(data.test)) == (102, 18, 30)
    assert (data.shape, data.n_classes, data.train.images.dtype) == ((4,), 3, torch.float32)
    assert data.val.labels.bincount().tolist() == [6, 6, 6]
    assert not torch.equal(data.val.images, other.val.images)
    assert torch.equal(data.test.images, other.test.images)
    assert len(load("two", n=60).train) == 51
    assert len(load("two", n_train=30).train) == 30


def test_a_validation_split_of_the_functions_own_is_taken():
    data = load("three")
    assert (len(data.train), len(data.val), len(data.test)) == (120, 30, 60)


def test_torch_data_sets_are_read_through_once():
    data = load("data_sets")
    assert (len(data.train), len(data.val), len(data.test)) == (60, 30, 30)
    assert data.test.images.dtype == torch.float64, "the finest of the three"


def test_bytes_are_scaled_as_images_are_and_other_numbers_taken_as_they_are():
    images, points = load("arrays"), load("two")
    assert images.scaled and images.shape == (1, 5, 6) and images.mean.shape == (1,)
    assert not points.scaled and points.mean.shape == (0,)


def test_the_digest_is_of_every_number_and_label():
    data = load("two")
    changed = data.train.images.clone()
    changed[0, 0] += 1e-3
    for images, labels in (
        (changed, data.train.labels),
        (data.train.images, data.train.labels + 1),
    ):
        train = type(data.train)(images, labels)
        other = Dataset(data.name, 3, train, data.val, data.test, data.mean, data.std)
        assert other.digest != data.digest
    again = Dataset(data.name, 3, data.train, data.val, data.test, data.mean, data.std)
    assert again.digest == data.digest


def test_what_there_is_is_counted_and_copies_of_training_samples_too():
    counts = load("copies").counts
    assert (counts.classes, counts.train, counts.validation, counts.test) == (3, 76, 14, 40)
    assert counts.test_in_train == 10
    assert counts.warning.startswith("10 of 40 test samples are also among those trained or")
    assert load("two").counts.warning == ""


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("nothing", r"own_for_tests:bad returned nothing; it must return \(train, test\) or"),
        ("one", r"returned a tuple of 1; it must"),
        ("pair", r"own_for_tests:bad, train: is of type Tensor; it must return"),
        ("shape", r"one shape and type, those of train are \[4\], torch\.float32, those of test"),
        ("type", r"one shape and type, .* those of test \[4\], torch\.int64"),
        ("labels", r"bad, train: labels must be whole numbers from 0, .* got torch\.float32"),
        ("from one", r"labels must count from 0 and name two classes or more, .*; class 0 has no"),
        ("unknown", r"bad, test: label 3 does not occur in train, whose labels are 0 \.\. 2"),
        (
            "lengths",
            r"one label for each sample, .* of shape \[120, 4\] and labels of shape \[5\]",
        ),
        ("flat", r"inputs must have shape \[samples, \.\.\.\], got \[120\]; a sample of one"),
        ("nan", r"bad, train: inputs hold NaN or infinity"),
        ("words", r"bad, train: a list of 120 is not made of numbers"),
        ("items", r"bad, test: inputs must have shape \[samples, \.\.\.\], got \[4\]"),
        ("empty", r"bad, test: needs one label for each sample, got inputs of shape \[0, 4\]"),
    ],
)
def test_what_is_no_data_is_refused_with_what_it_must_be(what: str, words: str):
    with pytest.raises(InvalidInput, match=words):
        load("bad", what=what)


def test_a_function_that_raises_is_refused_with_the_place():
    with pytest.raises(
        InvalidInput,
        match=r"own_for_tests:unreadable raised FileNotFoundError: .*'/nowhere/data\.npy' \(.*own_"
        r"for_tests\.py, line \d+\)",
    ):
        load("unreadable")


def test_a_function_that_needs_an_argument_is_refused_without_it():
    with pytest.raises(
        InvalidInput, match=r"called as bad\(\), but is bad\(what\): missing a required argument"
    ):
        load("bad")
