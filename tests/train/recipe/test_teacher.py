"""A teacher's logits: what training lowers then, what the teacher sees, and which are refused."""

import json
import math
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from tuner.bnn.data.dataset import load_data
from tuner.bnn.losses import taught
from tuner.errors import DataMissing, Interrupted, InvalidInput
from tuner.export import write
from tuner.graphs.card import KEY
from tuner.train import Keep, TrialConfig, check, conditions, train
from tuner.train.batches import Batches
from tuner.train.checkpoint import digest
from tuner.train.run import Run
from tuner.workload import Workload

SMALL = Workload(widths=(32, 32), epochs=4, batch_size=32)
TRIALS = [
    TrialConfig("filter_flip", {"alpha": 1e-2, "gamma": 0.3, "alpha_decay": "cosine"}, seed)
    for seed in (0, 1)
]


def network(n_classes: int = 10) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, n_classes)
    ).train()


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    """A network of torch's own that knows the digits, and calls each the next one."""
    batches, net = Batches(load_data(SMALL), SMALL, dtype=torch.float32), network()
    adam = torch.optim.Adam(net.parameters(), lr=1e-2)
    for epoch in range(8):
        for images, labels in batches.epoch([0], epoch):
            adam.zero_grad()
            nn.functional.cross_entropy(net(images[0]), (labels[0] + 1) % 10).backward()
            adam.step()
    return net.eval()


def written(file: Path, net: nn.Module, shape: tuple[int, ...] = (1, 8, 8)) -> str:
    """The file of a network that takes bytes, scaled as the digits are."""
    batches = Batches(load_data(SMALL), SMALL, dtype=torch.float32)
    return str(write(file, net, shape, scale=batches.scale, shift=batches.shift))


@pytest.fixture
def workload(trained: nn.Module, tmp_path: Path) -> Workload:
    return replace(SMALL, teacher=written(tmp_path / "teacher.safetensors", trained))


@pytest.mark.parametrize(("temperature", "share"), [(1.0, 1.0), (3.0, 0.25)])
def test_what_training_lowers_is_the_divergence_from_the_teacher(temperature, share):
    workload = Workload(teacher="any", temperature=temperature, teacher_share=share)
    ours, theirs = torch.randn(2, 2, 3, 4, generator=torch.Generator().manual_seed(0)).double()
    labels = torch.tensor([[0, 1, 3], [2, 2, 0]])

    def softmax(logits: Tensor, heat: float) -> list[float]:
        powers = [math.exp(z / heat) for z in logits.tolist()]
        return [p / sum(powers) for p in powers]

    for k, found in enumerate(taught(workload)(ours, labels, theirs).tolist()):
        total = 0.0
        for n in range(3):
            q, p = softmax(ours[k, n], temperature), softmax(theirs[k, n], temperature)
            apart = sum(b * math.log(b / a) for a, b in zip(q, p, strict=True))
            label = -math.log(softmax(ours[k, n], 1.0)[labels[k, n]])
            total += share * temperature**2 * apart + (1 - share) * label
        assert found == pytest.approx(total / 3)


@pytest.mark.parametrize("augment", ["none", "flip_crop"])
def test_a_teacher_sees_the_images_that_the_network_sees(augment, workload, trained):
    run = Run(replace(workload, augment=augment, precision="float32"), TRIALS, torch.device("cpu"))
    images, labels, said = next(iter(run.batches.epoch([3, 4], 1)))
    assert said.shape == (2, 32, 10) and labels.shape == (2, 32)
    with torch.no_grad():
        for k in range(2):
            torch.testing.assert_close(said[k], trained(images[k]), rtol=1e-4, atol=1e-4)


def test_a_network_learns_what_its_teacher_says_and_not_the_labels(workload):
    taught_ones = train(workload, TRIALS, test=True)
    half = train(replace(workload, teacher_share=0.01), TRIALS, test=True)
    assert max(result.test_accuracy for result in taught_ones) < 0.05
    assert min(result.test_accuracy for result in half) > 0.85


def test_interrupted_training_by_a_teacher_goes_on_bit_for_bit(workload, tmp_path):
    both = replace(workload, real_epochs=2)
    alone = train(both, TRIALS, test=True)
    asked = iter(range(1, 9))
    with pytest.raises(Interrupted):
        train(both, TRIALS, keep=Keep(tmp_path / "kept", lambda: next(asked) == 3))
    resumed = train(both, TRIALS, test=True, keep=Keep(tmp_path / "kept"))
    for a, b in zip(alone, resumed, strict=True):
        assert [(p.train_loss, p.val_accuracy) for p in a.curve] == [
            (p.train_loss, p.val_accuracy) for p in b.curve
        ]
        assert a.test_hits == b.test_hits


def test_another_teacher_in_its_place_is_another_workload(workload):
    before = conditions(workload, "cpu")["code"], digest(workload, TRIALS, "cpu")
    assert before[0].startswith("teacher ")
    written(Path(workload.teacher), network())
    after = conditions(workload, "cpu")["code"], digest(workload, TRIALS, "cpu")
    assert before[0] != after[0] and before[1] != after[1]


def test_a_teacher_that_is_not_there_or_does_not_fit_is_refused(workload, trained, tmp_path):
    check(workload)
    file = Path(workload.teacher)
    with pytest.raises(DataMissing, match=r"other.safetensors cannot be read \(No such file or .*"
                       r"which tuner export TRIAL --to"):  # fmt: skip
        check(replace(workload, teacher=str(tmp_path / "other.safetensors")))
    written(file, network(n_classes=7))
    with pytest.raises(InvalidInput, match=r"says logits of shape \[7\], the data have 10"):
        check(workload)
    written(file, nn.Sequential(nn.Flatten(), nn.Linear(128, 10)), (2, 8, 8))
    with pytest.raises(InvalidInput, match=r"takes samples of shape \[2, 8, 8\], the data"):
        check(workload)
    write(file, trained, (1, 8, 8))
    with pytest.raises(InvalidInput, match="takes numbers and the data are bytes; export it with"):
        check(workload)
    with safe_open(file, "pt") as opened:
        tensors, card = {n: opened.get_tensor(n) for n in opened.keys()}, opened.metadata()[KEY]
    save_file(tensors, file, {KEY: json.dumps(json.loads(card) | {"version": 9})})
    with pytest.raises(InvalidInput, match=r"^workload.teacher: .* is of version 9 of .* reads"):
        check(workload)
    file.write_bytes(file.read_bytes()[:-7])
    with pytest.raises(InvalidInput, match=r"^workload.teacher: .* is damaged or no safetensors"):
        check(workload)


def test_a_network_of_another_format_is_no_teacher(workload, trained):
    file = Path(workload.teacher).with_suffix(".onnx")
    written(file, trained)
    with pytest.raises(InvalidInput, match=r"\.onnx: is no safetensors file; name a packed net"):
        check(replace(workload, teacher=str(file)))


def test_a_pipe_is_no_teacher_and_nobody_waits_for_it(workload, tmp_path):
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises(InvalidInput, match=r"^workload.teacher: .*pipe.* is no regular file"):
        check(replace(workload, teacher=str(tmp_path / "pipe.safetensors")))


def test_a_teacher_has_to_lie_where_files_may(workload, monkeypatch, tmp_path):
    monkeypatch.setenv("TUNER_FOLDER_ROOT", str(tmp_path / "images"))
    with pytest.raises(InvalidInput, match=r"^workload.teacher: must lie below .*TUNER"):
        check(workload)
    monkeypatch.setenv("TUNER_FOLDER_ROOT", str(tmp_path))
    check(replace(workload, teacher="teacher.safetensors"))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"temperature": 2.0}, "is for a workload.teacher, got 2.0 without one; drop it"),
        (
            {"teacher": "x", "loss": "mse", "metric": "loss"},
            "goes with the loss 'cross_",
        ),
        (
            {"teacher": "x", "temperature": 0.0},
            r"temperature: must be in 0\.01 \.\. 100, got 0\.0",
        ),
        ({"teacher": "x", "temperature": 1e30}, r"temperature: must be in 0\.01 \.\. 100, got 1e"),
        ({"teacher": "x", "teacher_share": 0.0}, r"teacher_share: must be in \(0, 1\], got 0.0"),
        (
            {"teacher": "x", "teacher_share": math.nan},
            r"teacher_share: must be in .* got nan",
        ),
    ],
)
def test_settings_that_mean_nothing_are_refused(given, words):
    with pytest.raises(InvalidInput, match=words):
        Workload(**given)
