"""``tuner translate``, run as a user runs it."""

import json

import pytest
import typer
from typer.testing import CliRunner

from tuner.cli.commands.translate import translate

TORCH = "--learning-rate .1 --weight-decay 5e-4 --momentum .9"

app = typer.Typer()
app.command()(translate)


def run(arguments):
    return CliRunner(env={"COLUMNS": "200", "TERM": "dumb"}).invoke(app, arguments.split())


def as_json(arguments):
    result = run(f"{arguments} --json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))


def test_torchs_customary_settings_are_translated_by_default():
    found = as_json(TORCH)
    assert found["alpha"] == pytest.approx(5.02e-4, rel=1e-3)
    assert found["gamma"] == pytest.approx(0.0995, rel=1e-3)
    assert found["real"] is True
    assert found["half_life_steps"] == pytest.approx(1380, rel=1e-3)
    assert found == as_json(f"{TORCH} --coupled")
    assert found["canonical"]["weight_decay"] == 1 and found["canonical"]["clip"] is None
    assert all(set(c) == {"name", "holds", "why"} for c in found["conditions"])


def test_decoupled_weight_decay_has_the_naive_alpha():
    found = as_json(f"{TORCH} --decoupled")
    assert (found["alpha"], found["gamma"]) == pytest.approx((5e-5, 0.1))


def test_the_page_shows_the_filter_and_the_redundant_knobs():
    result = run(f"{TORCH} --steps 50000 --clip 1 --gradient-max 1e-4 --schedule cosine")
    assert result.exit_code == 0
    for words in ("0.0005023", "0.09955", "half-life", "1,380 steps", "Riccati", "0.2309%"):
        assert words in result.stdout
    assert "4 redundant here" in result.stdout


def test_complex_roots_print_the_direct_form_instead_of_alpha():
    result = run("--learning-rate .1 --weight-decay .1 --momentum .9")
    assert "the filter rings" in result.stdout and "-1.89" in result.stdout
    found = as_json("--learning-rate .1 --weight-decay .1 --momentum .9")
    assert found["real"] is False and found["alpha"] is None
    assert found["sos"] == [[pytest.approx(0.01), 0, 0, 1, pytest.approx(-1.89), 0.9]]


def test_a_filter_is_translated_to_both_kinds_of_sgd_and_back():
    found = as_json("--alpha 1e-3 --gamma .1")
    assert found["flip_ratio"] == pytest.approx(3.27e-3, abs=5e-6)
    for kind in ("coupled", "decoupled"):
        pair = found[kind]
        back = as_json(
            f"--{kind} --learning-rate {pair['learning_rate']} "
            f"--weight-decay {pair['weight_decay']} --momentum {pair['momentum']}"
        )
        assert (back["alpha"], back["gamma"]) == pytest.approx((1e-3, 0.1))
    page = run("--alpha 1e-3 --gamma .1 --schedule linear").stdout
    assert "0.8991" in page and "move its momentum too" in page
    assert as_json("--alpha 1e-3")["gamma"] == 1


@pytest.mark.parametrize(
    "arguments",
    [
        "--learning-rate .1",
        "--learning-rate .1 --steps 100 --schedule step",
        f"{TORCH} --nesterov --schedule linear --steps 10",
        f"{TORCH} --dampening 1 --clip inf",
        f"{TORCH} --scaling --init-scale .1 --clip 1",
        "--learning-rate 100 --weight-decay 1 --momentum .9",
        "--alpha 1 --gamma 1",
        "--alpha 1e-6 --steps 100 --schedule cosine",
    ],
)
def test_every_configuration_gives_a_page_and_valid_json(arguments):
    assert "conditions" in as_json(arguments)
    assert "flip ratio" in run(arguments).stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("", "give --learning-rate or --alpha, got neither"),
        ("--weight-decay .1", "give --learning-rate or --alpha, got --weight-decay"),
        ("--gamma .1", "--gamma needs --alpha"),
        ("--alpha .1 --learning-rate .1 --decoupled", "--learning-rate --decoupled are two dir"),
        ("--alpha 2", "alpha: must be in (0, 1], got 2.0"),
        ("--alpha nan", "got nan"),
        ("--learning-rate -1", "learning_rate must be in"),
        ("--learning-rate nan", "got nan"),
        ("--learning-rate .1 --momentum 1", "momentum must be in"),
        ("--learning-rate .1 --nesterov", "nesterov needs momentum > 0"),
        (f"{TORCH} --decoupled --nesterov", "coupled"),
        (f"{TORCH} --schedule cosin", "cosine"),
        (f"{TORCH} --steps 0", "steps: must be in 1 .. 10,000,000, got 0"),
        (f"{TORCH} --gradient-max nan", "gradient_max: must be at least 0"),
    ],
)
def test_what_cannot_be_translated_is_refused_in_one_line_with_exit_code_2(arguments, words):
    result = run(arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert words in result.stderr and result.stderr.count("\n") == 1


def test_the_help_has_examples():
    result = run("--help")
    assert result.exit_code == 0
    assert "tuner translate --learning-rate .1 --weight-decay 5e-4" in result.stdout
    assert "[0, 1)" in result.stdout
