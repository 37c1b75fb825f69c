"""Every entry of every registry is complete: nothing can be named that is half there."""

import inspect
from pathlib import Path

import pytest

from tests import reference
from tuner.bnn.data.dataset import SOURCES
from tuner.bnn.models import PLAIN, RESIDUAL
from tuner.compare.figures.gallery import FIGURES, in_section
from tuner.compare.figures.trials import registry
from tuner.compare.figures.trials.registry import TRIAL_FIGURES
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


@pytest.mark.parametrize("name", TRIAL_FIGURES)
def test_a_figure_of_trials_says_which_are_on_it_draws_them_and_has_a_caption(name):
    _heading, file = TRIAL_FIGURES[name]
    for part in ("trials", "draw", "caption"):
        assert inspect.getdoc(getattr(file, part))


def test_every_file_of_a_figure_of_trials_is_registered():
    files = {file for _, file in TRIAL_FIGURES.values()}
    folder = Path(inspect.getfile(registry)).parent
    beside = {"__init__", "registry", "tried"}
    assert {inspect.getmodulename(inspect.getfile(file)) for file in files} == {
        path.stem for path in folder.glob("*.py")
    } - beside


def test_whatever_a_workload_may_name_can_be_read_and_built():
    assert set(SOURCES) == set(DATASETS) >= set(SCORED_ON)
    assert {*PLAIN, *RESIDUAL} == set(MODELS)
