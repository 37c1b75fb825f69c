"""Long work that is not wanted any more ends between two of its parts."""

import pytest

from tuner import signals
from tuner.bnn import layers
from tuner.bnn.models import build_network
from tuner.errors import Interrupted
from tuner.signals import stop_if_asked, stoppable
from tuner.workload import Workload


@pytest.fixture(autouse=True)
def at_every_place(monkeypatch):
    monkeypatch.setattr(signals, "_ASK_SECONDS", 0.0)


def test_work_ends_where_it_asks_once_it_is_not_wanted():
    answers = iter([False, True])
    with stoppable(lambda: next(answers)):
        stop_if_asked()
        with pytest.raises(Interrupted):
            stop_if_asked()
    stop_if_asked()  # nobody waits for it any more


def test_who_waits_is_asked_now_and_then_only(monkeypatch):
    monkeypatch.setattr(signals, "_ASK_SECONDS", 60.0)
    with stoppable(lambda: True):
        stop_if_asked()


def test_a_network_is_left_between_two_layers(monkeypatch):
    drawn = []

    def told_to_stop():
        drawn.append(sum(bool(layer.weight.isfinite().all()) for layer in made))
        return len(drawn) == 2

    made = []
    linear = layers.Linear.__init__

    def noted(layer, *args, **more):
        linear(layer, *args, **more)
        layer.weight.data.fill_(float("nan"))
        made.append(layer)

    monkeypatch.setattr(layers.Linear, "__init__", noted)
    with pytest.raises(Interrupted), stoppable(told_to_stop):
        build_network(Workload(widths=(8, 8, 8)), (1, 8, 8), 10, [0])
    assert (len(made), drawn) == (4, [0, 1])
