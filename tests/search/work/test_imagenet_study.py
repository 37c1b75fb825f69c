"""The study of ImageNet as it is declared, on a few crops of two photographs."""

import tomllib
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from comparisons import enqueue, enqueue_afresh, work_here
from PIL import Image
from sklearn.datasets import load_sample_images
from torch import nn

from tuner.bnn.data.dataset import load_data
from tuner.export import write
from tuner.search.database.finished import finished_trials, run_of
from tuner.search.database.store import open_store
from tuner.search.declared.files import studies_dir
from tuner.search.declared.spec import ComparisonSpec, load
from tuner.search.queue.queue import Queue
from tuner.search.work.torch_trainer import TorchTrainer
from tuner.train import notes
from tuner.train.batches import Batches

pytestmark = pytest.mark.slow
SMALLER = {
    "folder": "photographs",
    "size": 32,
    "widths": [4, 8],
    "epochs": 6,
    "real_epochs": 3,
    "batch_size": 16,
    "real_learning_rate": 1e-2,
    "teacher": "teacher.safetensors",
}


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ComparisonSpec:
    """The study on crops of many sizes, streamed, with a teacher that knows them."""
    monkeypatch.setenv("TUNER_FOLDER_ROOT", str(tmp_path))
    monkeypatch.setenv("TUNER_IMAGE_BYTES", "1000")
    rng = np.random.default_rng(0)
    for name, pixels in zip(("china", "flower"), load_sample_images().images, strict=True):
        for number in range(64):
            side = int(rng.integers(40, 90))
            top, left = (int(rng.integers(0, end - side)) for end in pixels.shape[:2])
            split = "train" if number < 48 else "test"
            path = tmp_path / "photographs" / split / name / f"{number}.JPEG"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels[top : top + side, left : left + side]).save(path)
    declared = tomllib.loads((studies_dir() / "imagenet_reactnet.toml").read_text("utf-8"))
    smaller = {"workload": declared["workload"] | SMALLER, "n_trials": 2, "retrain_seeds": 1}
    spec = ComparisonSpec.model_validate({**declared, **smaller, "name": "imagenet_reactnet"})
    workload = spec.workload
    batches = Batches(load_data(workload), workload, dtype=torch.float32)
    torch.manual_seed(0)
    teacher = nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(48, 2))
    adam = torch.optim.Adam(teacher.parameters(), lr=1e-2)
    for epoch in range(10):
        for images, labels in batches.epoch([0], epoch):
            adam.zero_grad()
            nn.functional.cross_entropy(teacher(images[0]), labels[0]).backward()
            adam.step()
    file = tmp_path / "teacher.safetensors"
    write(file, teacher, (3, 32, 32), scale=batches.scale, shift=batches.shift)
    return spec


def test_the_study_runs_as_declared_on_a_small_folder_of_real_images(spec, tmp_path):
    whole = load("imagenet_reactnet")
    assert spec.arms == whole.arms and spec.verdict == whole.verdict
    assert any("decoded batch by batch" in note for note in notes(spec.workload))
    with closing(open_store(f"sqlite:///{tmp_path}/tuner.db")) as store:
        enqueue(store, spec)
        trainer = TorchTrainer("cpu")
        for study in spec.every_study():  # nobody need measure how many pay
            Queue(store).batch(study.study_name, 2)
        work_here(store, trainer=trainer, comparison=spec.name)
        enqueue_afresh(store, spec)
        work_here(store, trainer=trainer, comparison=spec.name)
        flipped: list[float] = []
        for study in spec.every_study():
            for trial in finished_trials(store, study.study_name):
                run = run_of(trial)
                assert run["code"].startswith("teacher ")
                assert run["data"]["classes"] == 2 and run["data"]["train"] == 82
                flips = run["curve"]["flip_ratio"]
                assert flips[:3] == [0, 0, 0]
                losses = run["curve"]["train_loss"]
                assert losses[2] < losses[0]
                if study.arm.name == "filter":
                    flipped += flips[3:]
                    assert run["filter"]["start_state"].startswith("every average at -sigma")
    assert max(flipped) > 0
