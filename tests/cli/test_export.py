"""``tuner export`` and ``tuner evaluate`` as a person meets them."""

import json
import re
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.commands import SPEC, refused, tuner, write
from tuner.search.database.store import open_store
from tuner.search.results.artifacts import attached, content_of

pytestmark = pytest.mark.slow

TRAINED_AGAIN = "training again: epoch 2"


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """The database of a comparison that was run."""
    folder = tmp_path_factory.mktemp("export")
    spec, url = folder / "mine.toml", f"sqlite:///{folder}/mine.db"
    spec.write_text(SPEC, encoding="utf-8")
    assert tuner("run", spec, "--workers", 1, "--database", url).exit_code == 0
    return url


def test_a_trial_is_taken_home_evaluated_and_turned_into_other_formats(database):
    place = ("--to", "net.safetensors", "--database", database)
    done = tuner("export", "mine/filter", *place, "--float32")
    assert done.exit_code == 0
    assert TRAINED_AGAIN in done.stdout
    assert re.search(r"net.safetensors: [\d,]+ binary weights, \d+ other numbers", done.stdout)
    assert "not the trial's own weights" not in done.stdout
    accuracy = json.loads(tuner("evaluate", "net.safetensors", "--json").stdout)["accuracy"]
    for form in ("onnx", "qonnx"):
        turned = tuner("export", "net.safetensors", "--as", form, "--thresholds", "--json")
        answer = json.loads(turned.stdout)
        assert answer["file"] == {"onnx": "net.onnx", "qonnx": "net.qonnx.onnx"}[form]
        assert TRAINED_AGAIN not in turned.stderr
        found = json.loads(tuner("evaluate", answer["file"], "digits", "--json").stdout)
        assert found["accuracy"] == accuracy == answer["card"]["accuracy"]["test_float32"]
        assert sum(map(sum, found["confusion"])) == found["samples"]
    shown = tuner("evaluate", "net.onnx").stdout
    assert "run by onnxruntime" in shown and "taken for class" in shown


def test_a_file_as_trained_is_right_where_the_trial_was(database):
    place = ("--to", "net.safetensors", "--database", database)
    exported = tuner("export", "mine/filter/retrain", *place, "--json")
    accuracy = json.loads(exported.stdout)["card"]["accuracy"]
    tuner("export", "net.safetensors", "--as", "onnx")
    tuner("export", "net.safetensors", "--as", "qonnx")
    for file in ("net.safetensors", "net.onnx", "net.qonnx.onnx"):
        found = json.loads(tuner("evaluate", file, "--json").stdout)
        assert found["accuracy"] == accuracy["test"] == accuracy["test_recorded"], file


def test_what_cannot_be_exported_is_refused_in_one_line(database):
    at = ("--database", database)
    assert "'packet' is unknown; did you mean 'packed'" in refused(
        "export", "mine/filter", "--as", "packet", *at
    )
    assert "'mine/filtre' is neither the number of a trial" in tuner(
        "export", "mine/filtre", *at
    ).stderr.replace("\n", " ")
    assert "the folder no does not exist" in refused(
        "export", "mine/filter", "--to", "no/net.safetensors", *at
    )
    Path("net.safetensors").write_bytes(b"no network at all")
    assert "is no safetensors file; name a packed network" in refused(
        "export", "net.safetensors", "--as", "onnx"
    )
    assert "net.onnx is ONNX; only .safetensors files become others" in refused(
        "export", "net.onnx", "--as", "qonnx"
    )
    assert "net.onnx is to be packed; name it net.safetensors, or change --as" in refused(
        "export", "net.safetensors", "--to", "net.onnx"
    )
    assert "would be written over itself" in refused("export", "net.safetensors")
    assert "is damaged or no ONNX file" in refused("evaluate", write("nothing", "net.onnx"))
    assert "missing.onnx: No such file" in refused("evaluate", "missing.onnx")


def test_a_file_hangs_on_its_trial_if_asked(database, monkeypatch):
    monkeypatch.setenv("TUNER_ARTIFACT_DIR", str(Path("artifacts").absolute()))
    at = ("--database", database)
    done = tuner("export", "mine/filter", "--to", "net.safetensors", "--attach", "--json", *at)
    trial = json.loads(done.stdout)["card"]["trial"]
    tuner("export", "net.safetensors", "--as", "onnx", "--attach", *at)
    with closing(open_store(database)) as store:
        there = attached(store, "mine/filter", trial["number"])
    assert [each.filename for each in there] == ["net.onnx", "net.safetensors"]
    assert content_of(there[1]).read_bytes() == Path("net.safetensors").read_bytes()
    other = f"sqlite:///{Path('other.db').absolute()}"
    fewer = write(SPEC.replace("n_trials = 8", "n_trials = 2"), "other.toml")
    assert tuner("run", fewer, "--workers", 1, "--database", other).exit_code == 0
    refusal = tuner("export", "net.safetensors", "--as", "onnx", "--attach", "--database", other)
    assert refusal.exit_code != 0
    assert re.search("of this database is another|there is no trial", refusal.stderr)
