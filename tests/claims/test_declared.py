"""What lies in ``studies/claims/`` is valid and described, and what breaks a rule is refused."""

import re
import tomllib

import pytest

from tests.claims.small import check, small
from tuner.claims.kinds import KINDS, declared_claims, load_claim
from tuner.errors import InvalidInput, UnknownName
from tuner.search.declared.files import studies_dir

SCALING = (studies_dir() / "claims" / "scaling.toml").read_text("utf-8")


@pytest.mark.parametrize("name", declared_claims())
def test_a_declared_claim_is_valid_and_described(name):
    claim = load_claim(name)
    assert claim.name == name
    readme = (studies_dir() / "claims" / "README.md").read_text("utf-8")
    assert f"| [{name}]({name}.toml) |" in readme
    assert claim.says.endswith(".") and claim.says in readme


def test_every_kind_of_check_has_a_declared_claim():
    kinds = [tomllib.loads(path.read_text("utf-8"))["kind"] for path in declared_claims().values()]
    assert set(kinds) == set(KINDS)


def test_the_claim_that_the_readme_shows_can_be_measured(tmp_path):
    readme = (studies_dir() / "claims" / "README.md").read_text("utf-8")
    (text,) = re.findall(r"^```toml\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    file = tmp_path / "my_claim.toml"
    file.write_text(text, encoding="utf-8")
    assert check(load_claim(str(file))).verdict == "holds"


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (
            'kind = "scaling"',
            'kind = "scalin"',
            r"kind of claim 'scalin' is unknown; did you mean",
        ),
        ('kind = "scaling"', "", "kind: this key is required"),
        ("factors = [", "factor = [", "key 'factor' is unknown; did you mean 'factors'"),
        ("seeds = [0, 1]", "seeds = []", "seeds"),
        ("factors = [0.125", "factors = [-1.0", "factors.0: input should be greater than 0"),
        ("learning_rate = 0.3", "learning_rate = -1.0", "learning_rate must be in"),
        ("momentum = 0.9", "moment = 0.9", "hyperparameter of latent_sgd 'moment' is unknown"),
        ("epochs = 20", "epochs = 0", "epochs: must be >= 1, got 0"),
        ('title = "Scale is redundant"', 'title = " "', "title"),
    ],
)
def test_a_declaration_that_breaks_a_rule_is_refused_in_one_line(tmp_path, before, after, words):
    assert before in SCALING
    file = tmp_path / "mine.toml"
    file.write_text(SCALING.replace(before, after), encoding="utf-8")
    with pytest.raises(InvalidInput, match=words) as refused:
        load_claim(str(file))
    assert str(refused.value).startswith(str(file)) and "\n" not in str(refused.value)


def test_an_unknown_kind_names_the_kinds_there_are(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(SCALING.replace('"scaling"', '"nothing"'), encoding="utf-8")
    with pytest.raises(UnknownName) as refused:
        load_claim(str(file))
    assert all(kind in str(refused.value) for kind in KINDS)


def test_an_unknown_claim_is_refused_with_the_declared_ones():
    with pytest.raises(UnknownName, match="claim 'scalin' is unknown; did you mean 'scaling'"):
        load_claim("scalin")


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("schedule", {"workload": {"precision": "float32"}}, "must be float64 here, got float32"),
        ("schedule", {"schedules": ["cosin"]}, "must be one of constant, linear"),
        ("schedule", {"settings": {"learning_rate": 1.0}}, "eta lambda"),
        ("clip_inert", {"settings": {"learning_rate": 1.0}}, "with weight decay"),
        ("clip_inert", {"inert": [0.5]}, "greater than or equal to 1"),
        ("initial_scale", {"recorded": 99}, "at most the 20 seeds, got 99"),
        ("initial_scale", {"settings": {"learning_rate": 1.0}}, "0 < eta lambda < 1"),
        ("iso_alpha", {"size": 20}, "the largest is"),
        ("iso_alpha", {"seeds": [0, 1]}, "at least 3"),
        ("flip_rate_law", {"alphas": [1.5]}, "less than or equal to 1"),
    ],
)
def test_parameters_outside_a_checks_conditions_are_refused(name, changes, words):
    with pytest.raises(InvalidInput, match=words):
        small(name, **changes)


def test_the_hash_is_of_what_decides_the_measurement():
    claim = small("scaling")
    reworded = claim.model_copy(update={"title": "Another", "says": "Otherwise."})
    assert claim.declaration_hash == reworded.declaration_hash
    assert claim.declaration_hash != small("scaling", seeds=[5]).declaration_hash
    assert claim.declaration != reworded.declaration
