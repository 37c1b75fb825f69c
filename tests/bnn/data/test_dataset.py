import dataclasses

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from tuner.bnn.data.dataset import load_data
from tuner.bnn.data.splits import Split, stratified_split
from tuner.errors import InvalidInput
from tuner.workload import Workload


def rows(*splits: Split) -> list[tuple[int, ...]]:
    """Every image with its label as a tuple, sorted: equal for equal multisets of samples."""
    return sorted(
        (int(label), *image.flatten().tolist())
        for split in splits
        for image, label in zip(split.images, split.labels, strict=True)
    )


def same(one: Split, other: Split) -> bool:
    return torch.equal(one.images, other.images) and torch.equal(one.labels, other.labels)


def test_digits_are_split_in_halves_and_quarters_that_cover_all_samples() -> None:
    digits = load_data(Workload())
    assert (len(digits.train), len(digits.val), len(digits.test)) == (899, 449, 449)
    assert digits.shape == (1, 8, 8)
    assert digits.n_classes == 10
    bunch = load_digits()
    pixels = torch.from_numpy(bunch.images * 255 / 16).round().byte()[:, None]
    whole = Split(pixels, torch.from_numpy(bunch.target))
    assert rows(digits.train, digits.val, digits.test) == rows(whole)


def test_digits_use_the_whole_range_of_a_byte() -> None:
    images = load_data(Workload()).train.images
    assert images.dtype == torch.uint8
    assert sorted(set(images.flatten().tolist())) == [round(i * 255 / 16) for i in range(17)]


def test_each_split_of_digits_has_the_class_shares_of_the_whole() -> None:
    digits = load_data(Workload())
    whole = np.bincount(load_digits().target)
    for split in (digits.train, digits.val, digits.test):
        expected = whole * len(split) / whole.sum()
        assert np.abs(split.labels.bincount().numpy() - expected).max() <= 2


def test_the_split_seed_moves_the_validation_split_and_not_the_test_split() -> None:
    zero, one = load_data(Workload(split_seed=0)), load_data(Workload(split_seed=1))
    assert same(zero.test, one.test)
    assert not same(zero.val, one.val)
    assert rows(zero.train, zero.val) == rows(one.train, one.val)


def test_workloads_that_differ_only_in_training_share_one_copy_of_the_data() -> None:
    assert load_data(Workload(epochs=1)) is load_data(
        Workload(epochs=2, batch_size=32, model="cnn")
    )
    assert load_data(Workload(split_seed=1)) is not load_data(Workload())


def test_a_train_subset_keeps_the_class_shares_and_the_other_splits() -> None:
    whole, part = load_data(Workload()), load_data(Workload(n_train=100))
    assert len(part.train) == 100
    assert set(rows(part.train)) <= set(rows(whole.train))
    assert 9 <= part.train.labels.bincount().min() <= part.train.labels.bincount().max() <= 11
    assert same(part.val, whole.val)
    assert same(part.test, whole.test)


@pytest.mark.parametrize("n_train", [9, 900])
def test_a_train_subset_that_does_not_fit_the_data_is_refused(n_train: int) -> None:
    with pytest.raises(InvalidInput, match=rf"n_train: .* 10\.\.899, got {n_train}$"):
        load_data(Workload(n_train=n_train))


def test_mean_and_std_are_those_of_the_train_images() -> None:
    digits = load_data(Workload())
    scaled = digits.train.images.double() / 255
    assert digits.mean.dtype == digits.std.dtype == torch.float32
    torch.testing.assert_close(digits.mean.double(), scaled.mean((0, 2, 3)), rtol=1e-6, atol=0)
    std = scaled.std((0, 2, 3), correction=0)
    torch.testing.assert_close(digits.std.double(), std, rtol=1e-6, atol=0)


def test_moving_a_dataset_moves_every_tensor() -> None:
    moved = load_data(Workload()).to("meta")
    splits = (moved.train, moved.val, moved.test)
    tensors = [moved.mean, moved.std, *(t for s in splits for t in (s.images, s.labels))]
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert moved.shape == (1, 8, 8)


def test_a_dataset_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        load_data(Workload()).name = "other"  # type: ignore[misc]


@pytest.mark.parametrize("n_second", [1, 7, 50, 99, 100])
def test_a_stratified_split_gives_each_class_its_share_to_within_one(n_second: int) -> None:
    labels = torch.tensor([0, 1, 0, 1, 0, 2, 0, 0, 1, 0] * 10)
    whole = Split(torch.arange(100, dtype=torch.uint8).view(100, 1, 1, 1), labels)
    first, second = stratified_split(whole, n_second, seed=3)
    assert len(second) == n_second
    assert rows(first, second) == rows(whole)
    expected = torch.tensor([60, 30, 10]) * n_second / 100
    assert (second.labels.bincount(minlength=3) - expected).abs().max() < 1
