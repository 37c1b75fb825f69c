"""How the tests give commands, and the small comparison that they run."""

from pathlib import Path

from typer.testing import CliRunner

from tuner.cli.app import app

SPEC = """
n_trials = 8
retrain_seeds = 2

[workload]
dataset = "digits"
widths = [16, 16]
binary_ends = true
epochs = 2
n_train = 128
batch_size = 32

[[arms]]
name = "filter"
space = "filter"

[[arms]]
name = "magnitude"
space = "magnitude"

[verdict]
primary = ["filter", "magnitude"]
k = 2
target = 0.5
"""


def tuner(*arguments):
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def refused(*arguments) -> str:
    """The one line a refused command prints; it leaves no file behind."""
    before = sorted(Path().rglob("*"))
    result = tuner(*arguments)
    assert result.exit_code == 2, result.output
    assert sorted(Path().rglob("*")) == before
    (line,) = result.stderr.splitlines()
    return line


def write(text: str, name: str = "mine.toml") -> str:
    Path(name).write_text(text, encoding="utf-8")
    return name
