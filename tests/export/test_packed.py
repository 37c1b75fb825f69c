"""The packed file: what is written is read, it is small, and what is damaged is refused."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from networks import OURS, images, ours, samples
from safetensors import safe_open
from safetensors.torch import save_file

from tuner.errors import InvalidInput
from tuner.export import load, python
from tuner.export.evaluating import evaluate
from tuner.export.formats.writing import write_graph
from tuner.export.reading.walking import walked
from tuner.graphs.card import KEY
from tuner.graphs.graph import Graph
from tuner.graphs.running import run
from tuner.graphs.weights import packed, unpacked


@pytest.fixture(scope="module")
def graph() -> Graph:
    return walked(ours("mlp", (70, 33), True), samples())


@pytest.fixture
def file(tmp_path, graph):
    path = tmp_path / "net.safetensors"
    write_graph(path, "packed", graph, {"rule": "filter_flip"})
    return path


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_signs_survive_as_bits(positive):
    signs = torch.tensor([1.0 if each else -1.0 for each in positive])
    bits = packed(signs)
    assert len(bits) == -(-len(signs) // 8)
    assert torch.equal(unpacked(bits, (len(signs),)), signs)


@pytest.mark.parametrize(("model", "widths", "binary_ends"), OURS)
def test_a_file_says_what_its_network_says_to_the_last_bit(model, widths, binary_ends, tmp_path):
    graph = walked(ours(model, widths, binary_ends), samples("bfloat16"))
    write_graph(tmp_path / "net.safetensors", "packed", graph, {})
    network = load(tmp_path / "net.safetensors")
    assert torch.equal(network(images()), run(graph, images()))
    assert network.card["weights"]["sha256"] == graph.digest()
    for name, weight in network.weights.items():
        assert torch.equal(weight, graph.tensors[name])


def test_binary_weights_take_a_bit_each(file, graph):
    with safe_open(file, framework="pt") as opened:
        sizes = {name: opened.get_tensor(name).nbytes for name in opened.keys()}
    binary = sum(sizes[name] for name in graph.binary)
    assert 28 * binary <= 4 * graph.n_binary
    real = sum(size for name, size in sizes.items() if name not in graph.binary)
    header = file.stat().st_size - binary - real
    assert real == 4 * graph.n_real
    assert header < 8000


def rewritten(file, change):
    """The file again, its card or its tensors changed."""
    with safe_open(file, framework="pt") as opened:
        card = json.loads(opened.metadata()[KEY])
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}
    change(card, tensors)
    save_file(tensors, file, metadata={KEY: json.dumps(card)})


def other_version(card, _tensors):
    card["version"] = 2


def no_card(card, _tensors):
    card.clear()


def turned_weight(_card, tensors):
    tensors["hidden.1.weight"][3] ^= 4


def other_number(_card, tensors):
    tensors["norms.0.bias"][0] += 1e-3


def fewer_weights(_card, tensors):
    tensors["hidden.1.weight"] = tensors["hidden.1.weight"][:-1].clone()


def lost_tensor(_card, tensors):
    del tensors["norms.0.bias"]


def other_step(card, _tensors):
    card["network"]["steps"][2]["kind"] = "sign"


def no_steps(card, _tensors):
    card["network"]["steps"] = [7]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (other_version, "is of version 2 of 'bnn-tuner network', this software reads version 1"),
        (no_card, "it has no card"),
        *((c, "its card does not fit its weights") for c in (turned_weight, other_number)),
        *((c, "its card does not fit its weights") for c in (fewer_weights, lost_tensor)),
        *((c, "its card does not fit its weights") for c in (other_step, no_steps)),
    ],
)
def test_a_file_that_is_not_as_it_was_written_is_refused(file, change, words):
    rewritten(file, change)
    with pytest.raises(InvalidInput, match=words) as refusal:
        load(file)
    assert "\n" not in str(refusal.value)
    with pytest.raises(InvalidInput, match=words):
        evaluate(file, "digits")


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.999])
def test_a_truncated_file_is_refused(file, share):
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InvalidInput, match="is damaged or no safetensors file"):
        load(file)


def test_a_file_that_cannot_be_written_leaves_what_was_there(file, graph, monkeypatch):
    before = file.read_bytes()

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tuner.graphs.files.os.fsync", full)
    with pytest.raises(OSError, match="No space") as told:
        write_graph(file, "packed", graph, {"rule": "bop"})
    assert told.value.filename == str(file)  # and not the one that is written first
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_nothing_is_written_where_a_network_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="is a GELU"):
        python.write(tmp_path / "net.onnx", torch.nn.Sequential(torch.nn.GELU()), [4])
    with pytest.raises(InvalidInput, match=r"must end in \.safetensors, \.onnx, \.qonnx\.onnx"):
        python.write(tmp_path / "net.pt", torch.nn.Sequential(torch.nn.ReLU()), [4])
    with pytest.raises(InvalidInput, match="does not exist; make it"):
        python.write(tmp_path / "no" / "net.onnx", torch.nn.Sequential(torch.nn.ReLU()), [4])
    assert not list(tmp_path.iterdir())
