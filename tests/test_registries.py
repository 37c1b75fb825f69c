"""Every entry of every registry is complete: nothing can be named that is half there."""

import inspect

import pytest

from tests import reference
from tuner.bnn.data import SOURCES
from tuner.bnn.models import PLAIN, RESIDUAL
from tuner.compare.figures.gallery import FIGURES, in_section
from tuner.compare.report import html
from tuner.optim.equivalence.record import DESCRIPTIONS
from tuner.optim.rules import OPTIMIZERS
from tuner.rules import RULES as HYPERPARAMETERS
from tuner.search.declared.spaces import declared_spaces, load_space
from tuner.workload import DATASETS, MODELS, SCORED_ON


def test_the_registries_of_rules_name_the_same_rules():
    assert set(OPTIMIZERS) == set(HYPERPARAMETERS) == set(DESCRIPTIONS)


@pytest.mark.parametrize("rule", HYPERPARAMETERS)
def test_a_rule_has_a_slow_twin_a_search_space_and_a_source(rule):
    optimizer = OPTIMIZERS[rule]
    assert inspect.isclass(getattr(reference, optimizer.__name__, None))
    assert rule in {load_space(name).rule for name in declared_spaces()}
    assert "Source: " in (inspect.getdoc(optimizer) or "")


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_has_arms_a_drawing_a_caption_and_a_place_in_the_report(name):
    place = FIGURES[name]
    for part in ("arms", "draw", "caption"):
        assert inspect.getdoc(getattr(place.file, part))
    assert name in in_section(place.section)
    page = inspect.getsource(html)
    assert place.section == "verdict" or f'in_section("{place.section}")' in page


def test_whatever_a_workload_may_name_can_be_read_and_built():
    assert set(SOURCES) == set(DATASETS) >= set(SCORED_ON)
    assert {*PLAIN, *RESIDUAL} == set(MODELS)
