"""``tuner claims``, run as a user runs it."""

import json
import re

import pytest
from typer.testing import CliRunner

from tests.claims.small import WORKLOAD
from tuner.claims import run as running
from tuner.claims import scaling
from tuner.claims.claim import Means
from tuner.claims.kinds import declared_claims, load_claim
from tuner.cli.app import app
from tuner.errors import TunerError
from tuner.search.declared.files import studies_dir

STUDIES = studies_dir()


def claims(*arguments):
    return CliRunner(env={"COLUMNS": "200", "TERM": "dumb"}).invoke(app, ["claims", *arguments])


@pytest.fixture
def mine(tmp_path):
    """The file of a claim about scaling that is soon measured."""
    text = (studies_dir() / "claims" / "scaling.toml").read_text("utf-8")
    for name, value in WORKLOAD.items():
        text = re.sub(rf"^{name} = .*\n", "", text, flags=re.MULTILINE)
        text = text.replace("[workload]", f"[workload]\n{name} = {value}")
    file = tmp_path / "mine.toml"
    file.write_text(text, encoding="utf-8")
    return str(file)


@pytest.mark.slow
def test_a_claim_is_measured_printed_and_written(mine, tmp_path):
    file = tmp_path / "claims.json"
    shown = claims(mine, "--json", str(file))
    assert shown.exit_code == 0, shown.output
    for words in ("measuring mine (1 of 1)", "0 of", "signs differ", "holds", "reported"):
        assert words in shown.stdout
    written = json.loads(file.read_text(), parse_constant=lambda name: pytest.fail(name))
    assert written["schema_version"] == 1 and "torch" in written["versions"]
    (claim,) = written["claims"]
    assert claim["verdict"] == "holds" and claim["seconds"] > 0
    assert claim["declaration_hash"] == load_claim(mine).declaration_hash
    assert claim["declaration"]["workload"]["widths"] == [16, 16]
    assert {"label", "value", "shown", "expected", "verdict", "low", "high"} == set(
        claim["figures"][0]
    )


@pytest.mark.slow
def test_a_claim_that_does_not_hold_is_shown_as_such_with_exit_status_0(mine, monkeypatch):
    monkeypatch.setattr(scaling, "rescale", lambda magnitude, k: scaling_of_rate(magnitude, k))
    shown = claims(mine, "--json", "-")
    assert shown.exit_code == 0, shown.output
    assert "does not hold" in shown.stderr
    assert json.loads(shown.stdout)["claims"][0]["verdict"] == "does not hold"


def scaling_of_rate(magnitude, k):
    """Not an invariance: the learning rate alone."""
    from dataclasses import replace

    return replace(magnitude, learning_rate=k * magnitude.learning_rate)


def test_the_list_says_what_is_claimed_and_measures_nothing(monkeypatch):
    monkeypatch.setattr(running, "check_claims", lambda *_: pytest.fail("measured"))
    shown = claims("--list")
    assert shown.exit_code == 0, shown.output
    words = " ".join(shown.stdout.split())
    assert all(name in words for name in declared_claims())
    printed = json.loads(claims("scaling", "--list", "--json", "-").stdout)
    assert list(printed) == ["scaling"] and printed["scaling"]["kind"] == "scaling"


@pytest.mark.slow
def test_a_check_that_cannot_be_done_leaves_the_others_and_exits_with_1(mine, monkeypatch):
    def refuse(*_):
        raise TunerError("no room")

    monkeypatch.setattr("tuner.claims.clip_inert.ClipInert.check", refuse)
    shown = claims("clip_inert", mine)
    assert shown.exit_code == 1
    assert "clip_inert could not be measured: no room" in shown.stdout
    assert "mine" in shown.stdout and "holds" in shown.stdout


@pytest.mark.slow
def test_ctrl_c_keeps_what_was_measured(mine, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("tuner.claims.clip_inert.ClipInert.check", interrupt)
    shown = claims(mine, "clip_inert", "scaling")
    assert shown.exit_code == 130
    assert "holds" in shown.stdout and "stopped" in shown.stdout


@pytest.mark.slow
def test_the_progress_of_each_claim_starts_at_0_and_ends_at_1(mine):
    told: list[tuple[str, float]] = []
    results = running.check_claims(
        [load_claim(mine)], Means(), on_step=lambda claim, share: told.append((claim.name, share))
    )
    assert told[0] == ("mine", 0.0) and told[-1] == ("mine", 1.0)
    assert [one.claim.name for one in results.checked] == ["mine"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["scalin"], "claim 'scalin' is unknown; did you mean 'scaling'"),
        (["no_such.toml"], "no_such.toml: cannot be read"),
        ([str(STUDIES / "digits.toml")], "digits.toml: declares a comparison, not a claim"),
        (["--json", "/no/such/folder/x.json"], "does not exist"),
    ],
)
def test_what_cannot_be_run_is_refused_in_one_line_with_exit_status_2(arguments, words):
    shown = claims(*arguments)
    assert shown.exit_code == 2
    assert words in shown.stderr and shown.stderr.count("\n") == 1


@pytest.mark.parametrize("name", declared_claims())
def test_a_claim_given_to_run_is_refused_with_the_command_for_it(name):
    file = str(STUDIES / "claims" / f"{name}.toml")
    shown = CliRunner().invoke(app, ["run", file])
    assert shown.exit_code == 2
    told = "declares a claim, not a comparison; use: tuner claims FILE"
    assert shown.stderr == f"tuner: {file}: {told}\n"


def test_the_help_has_examples():
    shown = claims("--help")
    assert shown.exit_code == 0
    assert "tuner claims scaling clip_inert" in shown.stdout
