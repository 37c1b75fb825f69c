"""Accuracy and confusions of labelled samples, and data that do not fit."""

import numpy as np
import pytest
import torch
from networks import images, ours, samples

from tuner.bnn.data.splits import Split
from tuner.errors import DataMissing, InvalidInput, UnknownName
from tuner.export.evaluating import classified, evaluate
from tuner.export.formats.writing import write_graph
from tuner.export.reading.walking import walked
from tuner.graphs.running import run


def as_said(x):
    return torch.nn.functional.one_hot(x[:, 0].long(), 3).float()


def test_confusions_are_counted_by_class():
    said, labels = torch.tensor([[0], [1], [2], [2], [1], [0]]), torch.tensor([0, 1, 1, 2, 0, 0])
    found = classified(as_said, Split(said, labels), "a test", batch=4)
    assert found.accuracy == pytest.approx(4 / 6)
    assert found.confusion.tolist() == [[2, 1, 0], [0, 1, 1], [0, 0, 1]]


def test_labels_that_are_no_classes_of_the_network_are_refused():
    said = torch.tensor([[0], [1]])
    with pytest.raises(InvalidInput, match=r"in 0 \.\. 2, which the network knows, got 0 .. 3"):
        classified(as_said, Split(said, torch.tensor([0, 3])), "a test")
    with pytest.raises(InvalidInput, match="accuracy is of classes"):
        classified(as_said, Split(said, torch.tensor([0.5, 1.5])), "a test")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "net.safetensors"
    write_graph(path, "packed", walked(ours("mlp", (9, 8), True), samples()), {})
    return path


def test_a_mistyped_data_set_is_told_from_a_folder(file, tmp_path):
    with pytest.raises(UnknownName, match="'fashion_mnits' is unknown; did you mean 'fashion_m"):
        evaluate(file, "fashion_mnits")
    with pytest.raises(DataMissing, match="photos"):
        evaluate(file, str(tmp_path / "photos"))
    for no_name in ("folder", ""):
        with pytest.raises(UnknownName, match=r"is unknown \(choose from cifar10, digits"):
            evaluate(file, no_name)
    with pytest.raises(InvalidInput, match=r"net\.safetensors is no \.npz file; give one, a data"):
        evaluate(file, str(file))


def test_arrays_in_a_file_are_evaluated(file, tmp_path):
    graph = walked(ours("mlp", (9, 8), True), samples())
    predicted = run(graph, images()).argmax(1).numpy()
    labels = np.where(np.arange(len(predicted)) % 4, predicted, (predicted + 1) % 5)
    np.savez(tmp_path / "data.npz", inputs=images().numpy(), labels=labels)
    found = evaluate(file, str(tmp_path / "data.npz"), batch=7)
    assert found.accuracy == 0.75
    assert found.confusion.sum() == 40


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"inputs": np.zeros((2, 3, 16, 16))}, "must be what np.savez"),
        (
            {"inputs": np.zeros((2, 3, 16, 16)), "labels": np.zeros(3, int)},
            "has 2 inputs and 3 labels",
        ),
        (
            {"inputs": np.zeros((2, 3, 16, 16)), "labels": np.array(["a", "b"])},
            "labels classes .whole numbers from 0., got float64 and <U1",
        ),
        (
            {"inputs": np.zeros((2, 3, 16, 16)), "labels": np.zeros(2, int)},
            "takes bytes",
        ),
        (
            {"inputs": np.zeros((2, 1, 8, 8), np.uint8), "labels": np.zeros(2, int)},
            r"of shape \[3, 16, 16\], the data have \[1, 8, 8\]",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_refused(file, tmp_path, arrays, words):
    np.savez(tmp_path / "data.npz", **arrays)
    with pytest.raises(InvalidInput, match=words):
        evaluate(file, str(tmp_path / "data.npz"))


def test_data_that_do_not_fit_are_refused(file, tmp_path):
    with pytest.raises(InvalidInput, match=r"of shape \[3, 16, 16\], the data have \[1, 8, 8\]"):
        evaluate(file, "digits")
    with pytest.raises(InvalidInput, match="the file names no data"):
        evaluate(file)
    (tmp_path / "data.npz").write_bytes(b"PK")
    with pytest.raises(InvalidInput, match=r"must be what np\.savez"):
        evaluate(file, str(tmp_path / "data.npz"))
