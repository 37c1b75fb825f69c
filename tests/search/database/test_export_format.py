"""Files that are damaged, each in its way: of none of them anything is imported."""

import hashlib
import json
import math
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from made_exports import exported, make_eventful

from tuner.errors import InvalidInput
from tuner.search.database.store import open_store
from tuner.search.database.transfer import load
from tuner.search.declared.spec import ComparisonSpec, declaration_hash


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """An undamaged file: header, comparison, study, 14 trials, study, ..., footer."""
    folder = tmp_path_factory.mktemp("good")
    with closing(open_store(f"sqlite:///{folder}/a.db")) as store:
        make_eventful(store)
        return exported(store)


def changed(line: str, **changes: object) -> str:
    return json.dumps(json.loads(line) | changes) + "\n"


def resealed(lines: list[str]) -> list[str]:
    """The lines with a footer that fits them."""
    kinds = [json.loads(line)["kind"] for line in lines[:-1]]
    counts = {
        "comparisons": kinds.count("comparison"),
        "studies": kinds.count("study"),
        "trials": kinds.count("trial"),
    }
    sha256 = hashlib.sha256("".join(lines[:-1]).encode()).hexdigest()
    return [*lines[:-1], changed(lines[-1], sha256=sha256, **counts)]


def at(number: int, /, **changes: object) -> Callable[[list[str]], list[str]]:
    """The file with this line changed, and a footer that fits."""
    return lambda x: resealed([*x[:number], changed(x[number], **changes), *x[number + 1 :]])


PLACE = {"position": 0, "state": "waiting", "attempts": 0, "failures": 0, "value": None}


def declared(**changes: object) -> Callable[[list[str]], list[str]]:
    """The file with another declaration, and the hash that it has."""

    def redeclared(lines: list[str]) -> list[str]:
        spec = json.dumps(json.loads(json.loads(lines[1])["spec"]) | changes)
        hashed = declaration_hash(ComparisonSpec.model_validate_json(spec))
        return at(1, spec=spec, declaration_hash=hashed)(lines)

    return redeclared


def done(**attributes: object) -> Callable[[list[str]], list[str]]:
    """The file with a finished trial that says this of itself."""

    def said(lines: list[str]) -> list[str]:
        number = next(n for n, line in enumerate(lines) if '"COMPLETE"' in line)
        attrs = json.loads(lines[number])["user_attrs"] | attributes
        return at(number, user_attrs=attrs)(lines)

    return said


def nested(levels: int) -> object:
    value: object = 0
    for _ in range(levels):
        value = [value]
    return value


FLOAT = {"low": 1e-5, "high": 0.1, "log": True, "step": None}


def drawn(
    value: object, name: str = "FloatDistribution", **attributes: object
) -> dict[str, object]:
    """What a trial with one parameter of this distribution says."""
    text = json.dumps({"name": name, "attributes": attributes or FLOAT})
    return {"params": {"learning_rate": value}, "distributions": {"learning_rate": text}}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda _: [], "cut off after line 0"),
        (lambda x: x[:-1], r"cut off after line \d+: its footer is missing"),
        (lambda x: x[:3], "cut off after line 3"),
        (lambda x: [*x[:-1], x[-1][:40]], "is damaged: it is not JSON"),
        (lambda x: [*x[:-2], x[-1]], "was changed or lines are missing"),
        (lambda x: [*x[:4], x[4].replace("small", "sma1l"), *x[5:]], "line 5 is damaged"),
        (
            lambda x: [*x[:5], x[5].replace('"attempts": 1', '"attempts": 9'), *x[6:]],
            "footer says",
        ),
        (lambda x: [*x, x[-1]], "a footer is out of place"),
        (lambda x: [*x, x[2]], "a study is out of place"),
        (lambda x: [x[0], *x], "line 2 is damaged: a header is out of place"),
        (lambda x: x[1:], "line 1: not a file of tuner db export"),
        (lambda _: ["a letter\n"], "line 1: not a file of tuner db export"),
        (lambda _: ["[" * 100_000], "line 1: not a file of tuner db export"),
        (lambda x: [*x[:4], "[" * 100_000, *x[5:]], "line 5 is damaged: it is not JSON"),
        (lambda x: [*x[:4], "[]\n", *x[5:]], "line 5 is damaged"),
        (lambda x: [*x[:4], '{"kind": "else"}\n', *x[5:]], "line 5 is damaged: kind"),
        (at(0, version=7, software="9.9"), "of version 7 .* reads 1; .*that wrote it, '9.9'"),
        (at(0, more=1), "line 1 is damaged: header.more: Extra"),
        (at(1, status="great"), "line 2 is damaged: comparison.status"),
        (at(1, revision=1.5), "comparison.revision: Input should be a valid integer"),
        (at(1, spec="{}"), "the declaration is not valid"),
        (at(1, name="else"), "'else' is declared as 'small'"),
        (lambda x: resealed([*x[:-1], x[1], x[-1]]), "'small' is there twice"),
        (lambda x: resealed([*x[:-1], x[2], x[-1]]), "'small/old' is not of the comparison"),
        (at(2, n_trials=99), "'small/old' is not of the comparison above it"),
        (at(2, study_name="small/odd"), "'small/odd' is not of the comparison above it"),
        (at(3, study_name="small/new"), "trial of 'small/new' is not below its study"),
        (at(2, optuna=None), "trial of 'small/old' is not below its study"),
        (lambda x: resealed([x[0], x[3], *x[1:]]), "trial of 'small/old' is not below"),
        (at(3, state="RUNNING"), "line 4 is damaged: trial.state"),
        (at(3, values=[0.1, 0.2]), "trial.values"),
        (at(3, started="yesterday"), "trial.started"),
        (at(3, params={"alpha": 1.0}), "not every parameter has a distribution"),
        (at(3, params={"a": 1.0}, distributions={"a": "{}"}), "does not fit its distribution"),
        (at(5, place=PLACE | {"position": 8}), "position 8 is taken, or beyond the budget"),
        (at(6, place=PLACE | {"position": 2}), "position 2 is taken"),
        (declared(repeats=1_000_000), "2,000,000 searches .* are declared; .* has 6"),
        (declared(n_trials=1_000_000), "trials may be 1,000,000 at most"),
        (at(1, declaration_hash="0" * 64), "declaration_hash is not that of the declaration"),
        (at(1, created=math.nan), "line 2 is damaged: comparison.created"),
        (at(1, created=1e300), "comparison.created: Input should be less than"),
        (at(1, revision=2**31), "comparison.revision: Input should be less than"),
        (at(1, code_version="x" * 10**6), "comparison.code_version"),
        (at(2, arm="new"), "study 'small/old': arm, repeat and retrain must be"),
        (at(2, batch=0), "study.batch"),
        (at(2, optuna={"user_attrs": {"\0": 1}, "system_attrs": {}}), "optuna.user_attrs: a name"),
        (at(3, user_attrs={"a": nested(60)}), "user_attrs.a: must be nested at most 50 levels"),
        (at(3, user_attrs={"\ud800": 1}), "user_attrs: a name must be of 1 to 512 characters"),
        (at(3, system_attrs={"x" * 600: 1}), "system_attrs: a name must be"),
        (at(3, ended=None), "ended: must be a time of FAIL"),
        (at(3, started="0001-01-01T00:00:00+14:00"), "trial.started"),
        (at(3, values=[0.5]), "values: must be null of a trial that is FAIL"),
        (at(3, place=PLACE | {"state": "done"}), "trial that is done must be COMPLETE or PRUNED"),
        (at(3, **drawn(10**400)), "params.learning_rate: .* does not fit"),
        (at(3, **drawn(0.01, "Evil")), "params.learning_rate: .* does not fit"),
        (at(3, **drawn(2, "IntDistribution", low=1, high=3, step=0)), "does not fit"),
        (at(3, params={"a": 1}, distributions={"a": "[" * 100_000}), "does not fit"),
        (at(3, params={"a": 1}, distributions={"a": "null"}), "does not fit"),
        (done(run="x"), "user_attrs.run: Input should be a valid dictionary"),
        (done(run={"batch": "x"}), "user_attrs.run.batch: Input should be a valid integer"),
        (done(run={"curve": {"epoch": [1], "val_accuracy": []}}), "one value for each epoch"),
        (done(run={"curve": {"epoch": [2, 1]}}), "the epochs must rise"),
        (done(run={"filter": {"conditions": [{"name": "a"}]}}), "run.filter.conditions.0.holds"),
        (done(run={"more": "\ud800"}), "user_attrs.run: holds text that is not Unicode"),
        (done(seed="x"), "user_attrs.seed"),
        (done(index=7), r"user_attrs.index: must be the position, \d"),
        (done(test_hits={"n": 9, "bits": "AA=="}), "bits must be those of n=9 images, got 1"),
        (done(test_accuracy=1.5), "user_attrs.test_accuracy"),
    ],
)
def test_of_a_damaged_file_nothing_is_imported(
    good: list[str],
    tmp_path: Path,
    damage: Callable[[list[str]], list[str]],
    words: str,
):
    with closing(open_store(f"sqlite:///{tmp_path}/a.db")) as store:
        with pytest.raises(InvalidInput, match=words) as refusal:
            load(store, damage(good))
        assert "nothing was imported" in str(refusal.value)
        assert "\n" not in str(refusal.value)
        assert store.names() == []
        assert store.rdb.get_all_studies() == []


def test_a_resealed_file_is_the_file(good: list[str], tmp_path: Path):
    """Or the tests above would test the seal only."""
    with closing(open_store(f"sqlite:///{tmp_path}/a.db")) as store:
        assert load(store, resealed(good)) == (["small", "other"], [])
