"""A filter as somebody writes it: a rule with settings, torch's SGD, sections, or a trial."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tuner.cli.present import setting
from tuner.errors import InvalidInput, UnknownName
from tuner.optim.designed import slots
from tuner.optim.designed.sections import check_low_pass
from tuner.optim.equivalence import Linear, Responses, horizon, linear_filter, responses
from tuner.rules import RULES, Setting
from tuner.search.database.finished import run_of
from tuner.search.foreign.address import parse
from tuner.search.foreign.storages.kinds import study_at

SGD, SECTIONS = "sgd", "sos"
"""What may stand in the place of an update rule."""

_OF_TORCH = {
    "lr": "learning_rate",
    "momentum": "momentum",
    "dampening": "dampening",
    "weight_decay": "weight_decay",
    "nesterov": "nesterov",
}
_WITHOUT_EFFECT = ("foreach", "differentiable", "fused")
_EXAMPLES = (
    "filter_flip:alpha=1e-3,gamma=0.1, sgd:lr=0.1,weight_decay=5e-4,momentum=0.9 or "
    "results/digits.db::digits/filter#12"
)


@dataclass(frozen=True)
class Run:
    """What of a run the settings alone do not say.

    Args:
        steps: Its length.
        second_moment: Mean square of its gradients.
    """

    steps: int | None = None
    second_moment: float | None = None


@dataclass(frozen=True)
class Shown:
    """A filter as it is shown.

    Args:
        text: As it was written.
        filter: Itself.
        curves: Its responses.
    """

    text: str
    filter: Linear
    curves: Responses

    def as_data(self) -> dict[str, Any]:
        """All of it for JSON; the frequency response as gain and phase in radians."""
        curves = self.curves
        return {
            "filter": self.text,
            "notes": list(self.filter.notes),
            "sos": slots.to_sections(self.filter.numbers).tolist(),
            "memory_steps": curves.memory,
            "delay_steps": curves.delay,
            "gain": curves.gain,
            "noise_gain": curves.noise_gain,
            "flip_ratio": curves.flip_ratio,
            "steps": curves.steps.tolist(),
            "impulse_response": curves.impulse.tolist(),
            "step_response": curves.step.tolist(),
            "cycles_per_step": curves.frequencies.tolist(),
            "response_gain": np.abs(curves.response).tolist(),
            "response_phase": np.unwrap(np.angle(curves.response)).tolist(),
        }


def shown(texts: list[str], run: Run) -> list[Shown]:
    """The filters that these texts name, with curves over the same steps.

    Raises:
        InvalidInput: If a text names no filter, or one that trains nothing; in a sentence.
        DatabaseProblem: If a trial's storage cannot be read.
    """
    filters = [_filter(text, run) for text in texts]
    end = max(horizon(each.numbers) for each in filters)
    return [
        Shown(text, each, responses(each.numbers, steps=end))
        for text, each in zip(texts, filters, strict=True)
    ]


def _filter(text: str, run: Run) -> Linear:
    rule, _, rest = text.partition(":")
    if "#" in text:
        return _of_trial(text, run)
    if rule == SECTIONS:
        return _of_sections(rest)
    if rule != SGD and rule not in RULES:
        raise InvalidInput(
            f"{text}: {UnknownName('filter', rule, [*RULES, SGD, SECTIONS])}; or a trial, "
            f"STORAGE::STUDY#NUMBER. For example {_EXAMPLES}"
        )
    pairs = [setting(part, text) for part in rest.split(",") if part]
    settings = dict(pairs)
    if twice := [name for name in settings if [known for known, _ in pairs].count(name) > 1]:
        raise InvalidInput(f"{text}: {twice[0]} is given twice")
    moment = settings.pop("second_moment", run.second_moment)
    if rule == SGD:
        rule, settings = "latent_sgd", _of_torch(settings)
    return linear_filter(rule, settings, steps=run.steps, second_moment=_number(moment, text))


def _number(value: Setting | None, text: str) -> float | None:
    if isinstance(value, str | bool):
        raise InvalidInput(f"{text}: second_moment must be a number, got {value}")
    return value


def _of_torch(options: Mapping[str, Setting]) -> dict[str, Setting]:
    """Options of ``torch.optim.SGD`` as settings of the same thing on latent weights."""
    for name in options:
        if name not in (*_OF_TORCH, *_WITHOUT_EFFECT, "maximize"):
            raise UnknownName("option of torch.optim.SGD", name, [*_OF_TORCH, "maximize"])
    if options.get("maximize"):
        raise InvalidInput("sgd: maximize=true goes uphill, and so would every flip; leave it out")
    found = {_OF_TORCH[name]: value for name, value in options.items() if name in _OF_TORCH}
    return {"learning_rate": 1e-3, **found, "coupled": True}


def _of_sections(text: str) -> Linear:
    try:
        rows = np.array(json.loads(text), dtype=np.float64)
    except ValueError as error:
        raise InvalidInput(
            f"sos:{text}: write rows of b0, b1, b2, a0, a1, a2 as scipy.signal has them, such as "
            "sos:[[0.1,0,0,1,-0.9,0]]"
        ) from error
    return Linear(slots.of_sections(check_low_pass(np.atleast_2d(rows), "sos")))


def _of_trial(text: str, run: Run) -> Linear:
    """The filter that a trial recorded, or that its settings are."""
    address, _, number = text.rpartition("#")
    study = study_at(parse(address))
    trial = next((each for each in study.trials if str(each.number) == number), None)
    if trial is None:
        raise InvalidInput(
            f"{text}: the study has {len(study.trials)} trials and none of number {number!r}; "
            "name one of them after the #"
        )
    record = run_of(trial)
    found, settings = record.get("filter"), record.get("settings")
    if not isinstance(found, dict) or not isinstance(settings, dict):
        raise InvalidInput(
            f"{text}: the trial has no record of a filter; write its rule and settings instead, "
            "such as sgd:lr=0.1,weight_decay=5e-4,momentum=0.9"
        )
    rule = str(found.get("rule"))
    if found.get("sos") and settings.get("memory_unit") == "runs":
        return Linear(slots.of_sections(check_low_pass(found["sos"], text)))
    return linear_filter(rule, settings, steps=run.steps, second_moment=run.second_moment)
