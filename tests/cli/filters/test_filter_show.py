"""``tuner filter show``, run as a user runs it."""

import json
from pathlib import Path

import numpy as np
import optuna
import pytest
import scipy.signal
from optuna.trial import create_trial

from tests.cli.commands import refused, tuner

CASCADE = "filter_flip:alpha=1e-3,gamma=0.1"
TORCH = "sgd:lr=0.1,weight_decay=5e-4,momentum=0.9"
BUTTER = scipy.signal.butter(3, 0.02, output="sos").tolist()


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def as_json(*arguments):
    result = tuner("filter", "show", *arguments, "--json", "-")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)["filters"]


def study_of(*runs):
    study = optuna.create_study(storage="sqlite:///mine.db", study_name="digits/filter")
    study.add_trials(
        [create_trial(value=0.5, user_attrs={"run": run} if run else {}) for run in runs]
    )


def recorded(rule, settings, **filter_):
    return {"settings": settings, "filter": {"rule": rule, **filter_}}


def test_what_is_shown_is_what_scipy_says():
    (found,) = as_json(f"sos:{json.dumps(BUTTER)}")
    _, response = scipy.signal.sosfreqz(BUTTER, 2 * np.pi * np.array(found["cycles_per_step"]))
    assert found["response_gain"] == pytest.approx(abs(response), abs=1e-10)
    impulse = np.zeros(found["steps"][-1])
    impulse[0] = 1
    h = scipy.signal.sosfilt(BUTTER, impulse)
    at = np.array(found["steps"]) - 1
    assert found["impulse_response"] == pytest.approx(h[at], abs=1e-10)
    assert found["step_response"] == pytest.approx(np.cumsum(h)[at], abs=1e-10)
    assert found["memory_steps"] == pytest.approx(1 / (0.02 * np.pi), rel=1e-6)


def test_several_filters_share_their_steps_and_torchs_options_are_torchs_names():
    cascade, torch, design = as_json(
        CASCADE, TORCH, "designed_filter:memory=0.1,memory_unit=runs", "--steps", 5000
    )
    assert cascade["steps"] == torch["steps"] == design["steps"]
    assert cascade["flip_ratio"] == pytest.approx(3.27e-3, abs=5e-6)
    (latent,) = as_json("latent_sgd:learning_rate=0.1,weight_decay=5e-4,momentum=0.9,coupled=true")
    assert torch["sos"] == latent["sos"]
    assert design["memory_steps"] == pytest.approx(500, rel=1e-2)
    (plain,) = as_json("sgd:lr=0.1,weight_decay=5e-4,momentum=0.9,foreach=true,maximize=false")
    assert plain["sos"] == torch["sos"]


def test_the_terminal_has_numbers_curves_and_what_is_left_out():
    said = tuner("filter", "show", CASCADE, "bop:gamma=0.01,tau=1e-3").stdout
    for words in ("memory, steps", "999.6", "0.3267%", "█", "▁", "without the threshold 0.001"):
        assert words in said


@pytest.mark.slow
def test_a_picture_is_drawn_beside_the_numbers_and_json_goes_to_a_file():
    said = tuner("filter", "show", CASCADE, TORCH, "--picture", "f.svg", "--json", "f.json").stdout
    assert "written: f.svg" in said and "written: f.json" in said
    drawn = Path("f.svg").read_text(encoding="utf-8")
    assert drawn.startswith("<?xml") and "Gain, dB" in drawn
    assert len(json.loads(Path("f.json").read_text())["filters"]) == 2
    assert tuner("filter", "show", CASCADE, "--picture", "f.png").exit_code == 0
    assert Path("f.png").read_bytes()[:4] == b"\x89PNG"


def test_a_trial_is_shown_by_its_own_settings_and_adam_at_its_second_moment():
    adam = {"learning_rate": 1e-3, "weight_decay": 0.1}
    share = {"memory": 0.1, "memory_unit": "runs", "order": 1}
    average = [[0.02, 0.0, 0.0, 1.0, -0.98, 0.0]]
    study_of(
        recorded("filter_flip", {"alpha": 1e-3, "gamma": 0.1}),
        recorded("designed_filter", share, sos=average),
        recorded("latent_adam", adam),
        None,
    )
    trial, direct = as_json("mine.db::digits/filter#0", CASCADE)
    assert trial["sos"] == direct["sos"]
    assert as_json("mine.db#1")[0]["sos"] == average
    assert "--second-moment" in refused("filter", "show", "mine.db#2")
    shown = as_json(
        "mine.db#2", "latent_adam:learning_rate=1e-3,weight_decay=0.1", "--second-moment", 1e-4
    )
    assert shown[0]["sos"] == shown[1]["sos"]
    written = "latent_adam:learning_rate=1e-3,weight_decay=0.1,second_moment=1e-4"
    assert as_json(written)[0]["sos"] == shown[0]["sos"]
    assert "no record of a filter; write its rule" in refused("filter", "show", "mine.db#3")
    assert "4 trials and none of number '9'" in refused("filter", "show", "mine.db#9")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("filterflip:alpha=1", "filter 'filterflip' is unknown; did you mean 'filter_flip'"),
        ("filter_flip:alfa=1", "'alfa' is unknown; did you mean 'alpha'"),
        ("filter_flip:alpha", "write NAME=VALUE"),
        ("filter_flip:alpha=0.1,alpha=0.2", "alpha is given twice"),
        ("filter_flip:alpha=2", "alpha must be in (0, 1], got 2.0"),
        ("sgd:learning_rate=0.1", "option of torch.optim.SGD 'learning_rate' is unknown"),
        ("sgd:lr=0.1,weight_decay=0.1,maximize=true", "goes uphill"),
        ("sgd:lr=100,weight_decay=1", "is unstable, its pole -99"),
        ("sos:[[1,-1,0,1,0,0]]", "no low-pass: its gain is 0 at frequency 0"),
        ("sos:[[1,0,0,0,1,0]]", "not causal"),
        ("latent_adam:second_moment=much", "second_moment must be a number, got much"),
        ("latent_adam:second_moment=-1", "positive and finite, got -1.0"),
        ("sos:[1,", "write rows of b0, b1, b2, a0, a1, a2"),
        ("nowhere.db::a#1", "there is no file nowhere.db"),
    ],
)
def test_what_is_no_filter_is_refused_in_one_line(text, words):
    assert words in refused("filter", "show", text)
