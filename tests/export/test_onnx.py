"""ONNX and QONNX files say what the network says; their signs are +1 at both zeros."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from networks import OF_TORCH, OURS, SHAPE, images, noise, ours, samples
from torch import nn

from tuner.bnn import binary
from tuner.errors import InvalidInput
from tuner.export import write
from tuner.export.evaluating import opened
from tuner.export.formats.writing import write_graph
from tuner.export.reading.walking import Samples, walked
from tuner.export.thresholds import with_thresholds
from tuner.graphs.card import KEY
from tuner.graphs.running import run

FORMATS = ("onnx", pytest.param("qonnx", marks=pytest.mark.slow))


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(("model", "widths", "binary_ends"), OURS)
def test_a_file_says_what_its_network_says(form, precision, model, widths, binary_ends, tmp_path):
    graph = walked(ours(model, widths, binary_ends), samples(precision))
    write_graph(tmp_path / "net.onnx", form, graph, {})
    onnx.checker.check_model(onnx.load(tmp_path / "net.onnx")) if form == "onnx" else None
    predict, _card, software = opened(tmp_path / "net.onnx")
    assert software == {"onnx": "onnxruntime", "qonnx": "qonnx"}[form]
    torch.testing.assert_close(predict(images()), run(graph, images()), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_thresholds_say_the_same_there(form, model, tmp_path):
    graph = walked(ours(model, {m: w for m, w, _ in OURS}[model], True), samples())
    write_graph(tmp_path / "net.onnx", form, with_thresholds(graph), {})
    predict, *_ = opened(tmp_path / "net.onnx")
    torch.testing.assert_close(predict(images()), run(graph, images()), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("which", OF_TORCH)
@pytest.mark.parametrize("end", ["onnx", "qonnx.onnx"])
def test_networks_of_others_are_written_too(end, which, tmp_path):
    network, x = OF_TORCH[which](), noise()
    predict, *_ = opened(write(tmp_path / f"net.{end}", network, SHAPE))
    with torch.no_grad():
        torch.testing.assert_close(predict(x), network(x), rtol=1e-3, atol=1e-3)


class Signs(nn.Module):
    """The signs of what is given, through weights that change nothing."""

    def __init__(self):
        super().__init__()
        self.same = binary(nn.Linear(1, 1, bias=False))
        self.same.weight.data.fill_(1)

    def forward(self, x):
        from tuner.bnn import sign_ste

        return self.same(sign_ste(x))


@pytest.mark.parametrize("form", ["onnx", "qonnx"])
def test_the_sign_of_both_zeros_is_one(form, tmp_path):
    path = tmp_path / "net.onnx"
    write_graph(path, form, walked(Signs(), Samples((1,))), {})
    predict, *_ = opened(path)
    assert predict(torch.tensor([[0.0], [-0.0], [-1e-30], [2.0]])).flatten().tolist() == [
        1,
        1,
        -1,
        1,
    ]


def test_binary_weights_take_a_bit_each_in_the_file(tmp_path):
    network = nn.Sequential(binary(nn.Linear(512, 512, bias=False)))
    network[0].weight.data = torch.randn(512, 512).sign()
    graph = walked(network, Samples((512,)))
    for form in ("packed", "onnx", "qonnx"):
        write_graph(tmp_path / form, form, graph, {})
        assert 28 * (tmp_path / form).stat().st_size <= 4 * 512 * 512


@pytest.mark.slow
def test_qonnx_s_cleanup_folds_the_bits_as_finn_and_hls4ml_need_it(tmp_path):
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.util.cleanup import cleanup_model

    graph = walked(ours("mlp", (70, 33), True), samples())
    write_graph(tmp_path / "net.onnx", "qonnx", graph, {})
    clean = cleanup_model(ModelWrapper(str(tmp_path / "net.onnx")))
    quantised = [node for node in clean.graph.node if node.op_type == "BipolarQuant"]
    weights = [clean.get_initializer(node.input[0]) for node in quantised]
    found = [weight for weight in weights if weight is not None]
    expected = [graph.tensors[name].numpy().T for name in sorted(graph.binary)]
    assert len(found) == len(expected) == 3
    for weight in expected:
        assert any(np.array_equal(weight, each) for each in found if each.shape == weight.shape)
    assert {node.op_type for node in clean.graph.node} & {"BitShift", "Mod"} == set()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "net.onnx"
    write_graph(path, "onnx", walked(ours("mlp", (9, 8), True), samples()), {})
    return path


def test_the_file_is_of_the_standard_and_takes_bytes(file):
    model = onnx.load(file)
    onnx.checker.check_model(model, full_check=True)
    assert {opset.domain for opset in model.opset_import} == {""}
    assert "Sign" not in {node.op_type for node in model.graph.node}
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].type == "tensor(uint8)"
    assert json.loads(session.get_modelmeta().custom_metadata_map[KEY])["network"]["bytes_in"]


def other_weight(model):
    bits = next(each for each in model.graph.initializer if each.name.endswith(".bits"))
    bits.raw_data = bytes([bits.raw_data[0] ^ 1]) + bits.raw_data[1:]


def other_node(model):
    model.graph.node[3].op_type = "Identity"


def other_version(model):
    for each in model.metadata_props:
        each.value = each.value.replace('"version": 1', '"version": 9')


def no_card(model):
    del model.metadata_props[:]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (other_weight, "its card does not fit its weights"),
        (other_node, "its card does not fit its weights"),
        (other_version, "is of version 9"),
        (no_card, "it has no card"),
    ],
)
def test_a_file_that_is_not_as_it_was_written_is_refused(file, change, words):
    model = onnx.load(file)
    change(model)
    onnx.save(model, file)
    with pytest.raises(InvalidInput, match=words) as refusal:
        opened(file)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.99])
def test_a_truncated_file_is_refused(file, share):
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InvalidInput, match=r"is damaged|has no card"):
        opened(file)
