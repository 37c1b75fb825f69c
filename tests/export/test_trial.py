"""A trial's network: trained again to the same bits, and as good in every format."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from optuna.trial import TrialState

from tuner.bnn.data.dataset import load_data
from tuner.errors import Interrupted, InvalidInput, NotFound
from tuner.export.evaluating import classified, evaluate
from tuner.export.formats.writing import ending, write_graph
from tuner.export.reading.walking import walked
from tuner.export.thresholds import with_thresholds
from tuner.export.trial import network_of, number_of, samples_taken
from tuner.graphs.running import run
from tuner.search.database.finished import finished_trials
from tuner.search.results.records import unpacked
from tuner.train import TrialConfig, trained_network
from tuner.workload import Workload

pytestmark = pytest.mark.slow


def silent(_report):
    """Hear of an epoch."""


@pytest.mark.parametrize("study", ["mine/filter", "mine/magnitude", "mine/filter/retrain"])
def test_a_trial_is_trained_again_to_the_same_bits(store, study):
    number = number_of(store, study)
    trained = network_of(store, number, silent)
    trial = store.rdb.get_trial(number)
    assert trained.about["trained"]["as_recorded"]
    assert (
        trained.about["accuracy"]["validation"]
        == trial.value
        == max(t.value for t in finished_trials(store, study) if t.state == TrialState.COMPLETE)
    )
    assert trained.about["trial"] == {
        "number": number,
        "study": study,
        "position": trial.user_attrs["index"],
        "seed": trial.user_attrs["seed"],
    }
    if study.endswith("retrain"):
        assert trained.about["accuracy"]["test"] == trial.user_attrs["test_accuracy"]


def test_a_file_is_right_wherever_the_trial_was(store, tmp_path):
    number = number_of(store, "mine/filter/retrain")
    graph = network_of(store, number, silent).graph
    about = network_of(store, number, silent).about
    recorded = unpacked(store.rdb.get_trial(number).user_attrs["test_hits"])
    for folded in (graph, with_thresholds(graph)):
        write_graph(tmp_path / "net.safetensors", "packed", folded, about)
        found = evaluate(tmp_path / "net.safetensors")
        assert ((found.predicted == found.labels) == recorded).all()


@pytest.mark.parametrize("folding", [False, True])
def test_all_formats_say_the_same_of_the_whole_test_set(store, tmp_path, folding):
    trained = network_of(store, number_of(store, "mine/filter"), silent)
    graph = replace(trained.graph, precision="float32")
    found = {}
    for form in ("packed", "onnx", "qonnx"):
        path = tmp_path / f"net{ending(form)}"
        write_graph(path, form, with_thresholds(graph) if folding else graph, trained.about)
        found[form] = evaluate(path)
    assert found["packed"].accuracy == trained.about["accuracy"]["test_float32"]
    for form in ("onnx", "qonnx"):
        assert len(found[form].labels) > 200
        assert (found[form].predicted == found["packed"].predicted).all(), form


def test_training_that_is_interrupted_goes_on(store):
    number = number_of(store, "mine/filter")
    whole = network_of(store, number, silent).graph
    epochs = []
    with pytest.raises(Interrupted):
        network_of(store, number, lambda r: epochs.append(r.epoch), stopping=lambda: True)
    assert epochs == [1]
    again = network_of(store, number, lambda r: epochs.append(r.epoch)).graph
    assert epochs == [1, 2, 3]
    assert again.digest() == whole.digest()


def test_what_has_no_network_is_refused(store):
    pruned = [t for t in finished_trials(store, "mine/magnitude") if t.state == TrialState.PRUNED]
    assert pruned
    with pytest.raises(InvalidInput, match="was pruned, so it has no trained network; train its"):
        network_of(store, pruned[0]._trial_id, silent)
    with pytest.raises(NotFound, match="there is no trial 12345"):
        network_of(store, 12345, silent)
    with pytest.raises(NotFound, match="9' is neither the number of a trial nor a study"):
        number_of(store, "9" * 24)
    with pytest.raises(
        NotFound, match="'mine/filtr' is neither the number of a trial nor a study"
    ):
        number_of(store, "mine/filtr")


def test_a_trial_is_not_trained_again_by_another_teacher(store, monkeypatch):
    number, study = number_of(store, "mine/filter"), store.study("mine/filter")
    workload = replace(study.workload, teacher="net.safetensors")
    taught = study.model_copy(update={"workload": workload})
    monkeypatch.setattr(type(store), "study", lambda *_: taught)
    monkeypatch.setattr("tuner.export.trial.conditions", lambda *_: {"code": "teacher 2"})
    with pytest.raises(InvalidInput, match=r"net\.safetensors is teacher 2 now; put back"):
        network_of(store, number, silent)


def test_the_card_says_where_a_network_is_from(store, tmp_path):
    number = number_of(store, "mine/magnitude")
    trained = network_of(store, number, silent)
    card = write_graph(tmp_path / "net.onnx", "onnx", trained.graph, trained.about)
    assert card["rule"] == "latent_sgd"
    assert card["settings"]["learning_rate"] > 0
    assert card["filter"]["rule"] == "latent_sgd"
    assert card["workload"]["dataset"] == "digits"
    assert card["data"]["test"] == card["accuracy"]["test_samples"]
    assert set(card["versions"]) == {"bnn-tuner", "torch"}
    assert not any(isinstance(v, float) and math.isinf(v) for v in card["settings"].values())


@pytest.mark.parametrize(("model", "options"), [("make", {}), ("side_by_side", {"width": 9})])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_network_of_one_s_own_is_read_as_it_was_trained(model, options, precision, monkeypatch):
    monkeypatch.setenv("TUNER_WORKLOADS", "own_for_tests")
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "bnn")
    workload = Workload(
        model=f"own_for_tests:{model}",
        model_options=options,
        n_train=128,
        batch_size=32,
        epochs=1,
        precision=precision,
    )
    network, result = trained_network(workload, [TrialConfig("filter_flip", {}, 3)], 0)
    graph = walked(network, samples_taken(workload, "cpu"))
    found = classified(lambda samples: run(graph, samples), load_data(workload).test, "torch")
    assert tuple(found.predicted == found.labels) == result.test_hits
