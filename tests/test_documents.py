"""Every command and snippet of the README and of docs/ is run, in the order of a reader.

Each page has a folder of its own, in which nothing lies but what the page makes.
"""

import io
import re
import shlex
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import chdir, redirect_stdout, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from tests.documents import PAGES, ROOT, Step, missing, steps
from tuner.api.app import create_app
from tuner.api.settings import Settings
from tuner.bench import contests
from tuner.cli.app import app
from tuner.measured import Kept
from tuner.search.declared.spec import ComparisonSpec, load
from tuner.train import fuse

README = ROOT / "README.md"
BY_MAKE = {"make demo": "tuner demo"}
"""What make runs once everything is set up."""

EXACT = ("tuner translate", "tuner spaces", "tuner pause", "tuner serve")
"""Commands that print the same numbers everywhere."""

SAY_NOTHING = (" -o ", "tuner db export")
"""Commands that may leave standard output empty."""


@dataclass
class Reader:
    """Someone who follows a page, and the server that they started."""

    page: Path
    folder: Path
    server: subprocess.Popen[bytes] | None = None
    output: Path = field(init=False)

    def __post_init__(self) -> None:
        self.output = self.folder.with_suffix(".server")

    def run(self, command: str) -> str:
        """Run a command to its end, ours in this process; what it printed."""
        program, *arguments = shlex.split(command)
        if program == "tuner":
            with chdir(self.folder):
                done = CliRunner().invoke(app, arguments)
            status, printed, told = done.exit_code, done.stdout, done.stderr
            assert done.exception is None or isinstance(done.exception, SystemExit), told
        else:
            assert program == "curl"
            asked = ["curl", "--fail-with-body", *arguments]
            run = subprocess.run(
                asked, cwd=self.folder, text=True, capture_output=True, check=False
            )
            status, printed, told = run.returncode, run.stdout, run.stderr
        assert status == 0, printed + told
        assert printed.strip() or any(quiet in command for quiet in SAY_NOTHING)
        for written in re.findall(r"--(?:html|json|picture) (\S+)", command):
            assert (self.folder / written).stat().st_size > 1000
        return printed

    def serve(self, command: str) -> str:
        """Start the page's server; what it printed until it answered."""
        assert self.server is None, "a page starts its server once"
        arguments = [sys.executable, "-m", "tuner", *shlex.split(command)[1:]]
        with self.output.open("wb") as out:
            self.server = subprocess.Popen(arguments, cwd=self.folder, stdout=out)
        deadline = time.monotonic() + 60
        while self.server.poll() is None and time.monotonic() < deadline:
            with suppress(OSError):
                urllib.request.urlopen("http://127.0.0.1:8000/v1/readiness").close()
                return self.output.read_text(encoding="utf-8")
            time.sleep(0.1)
        raise AssertionError("the server does not answer")


@pytest.fixture(scope="module")
def reader_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Path], Reader]]:
    """The reader of a page; whoever read another page has closed it."""
    readers: list[Reader] = []

    def reading(page: Path) -> Reader:
        if not readers or readers[-1].page != page:
            close()
            readers.append(Reader(page, tmp_path_factory.mktemp(page.stem)))
        return readers[-1]

    def close() -> None:
        if readers and (server := readers[-1].server) is not None:
            server.terminate()
            assert server.wait(90) == 0

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "80")
        patch.delenv("TUNER_DATABASE_URL", raising=False)
        patch.setattr(contests, "STEPPING", ("FilterFlip",))  # the others are alike
        train_the_demo_in_batches_of(64)
        yield reading
        close()


def train_the_demo_in_batches_of(trials: int) -> None:
    """Answer beforehand what every machine measures: how many trials of the demo pay together.

    It decides how results round, and the verdict that the README shows is a close one. Measured
    beside other tests the answer would be whatever the load is.
    """
    workload = load("digits").workload
    about = fuse._about(workload, torch.device("cpu"))
    answer = fuse.Chosen(trials, {}, (), 0.0)
    Kept("trials-per-batch", about).write(asdict(answer))
    assert fuse.trials_per_batch(workload, "cpu") == trials


def every(kind: str) -> Iterator[tuple[Path, Step]]:
    for page in PAGES:
        for step in steps(page):
            if step.kind == kind:
                yield page, step


def all_steps() -> list[object]:
    """What readers do, page by page; those of one page in its order."""
    return [
        pytest.param(page, step, id=f"{page.stem}: {step.text.splitlines()[0]}")
        for page in PAGES
        for step in steps(page)
        if step.kind != "toml" or step.saved_as
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("page", "step"), all_steps())
def test_a_step_of_a_document_does_what_is_shown(page, step, reader_of):
    reader = reader_of(page)
    if step.saved_as:
        (reader.folder / step.saved_as).write_text(step.text, encoding="utf-8")
        return
    if step.kind == "python":
        printed = io.StringIO()
        with chdir(reader.folder), redirect_stdout(printed):
            exec(compile(step.text, reader.page.name, "exec"), {"__name__": "__main__"})
        output = printed.getvalue()
    else:
        command = BY_MAKE.get(step.text, step.text)
        serves = command.startswith("tuner serve")
        output = reader.serve(command) if serves else reader.run(command)
    lost = missing(step.shown, output, exact=step.text.startswith(EXACT))
    assert lost is None, f"not printed, or not there: {lost}\n{output}"


def test_what_is_shown_is_compared_word_by_word():
    printed = "╭─ Verdict ──╮\n│ best of 10 │ +1.87 points\n╰────╯\ndone, really"
    for shown in ("Verdict best of 3\n-0.2 points", "Verdict\n...\ndone", "... points ... really"):
        assert missing(shown, printed, exact=False) is None
    assert missing("best of 10 +1.87", printed, exact=True) is None
    assert missing("best of 3", printed, exact=True) == "best of 3"
    assert missing("Verdict points", printed, exact=False) == "Verdict points"
    assert missing("done ... Verdict", printed, exact=False) == "Verdict"


def test_all_kinds_of_blocks_are_tested():
    kinds = {step.kind for page in PAGES for step in steps(page)}
    assert kinds == {"sh", "toml", "python"}
    assert any(step.shown for _, step in every("sh"))


def test_the_two_commands_of_the_first_screen_are_run_by_ci():
    readme = README.read_text(encoding="utf-8")
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8").split("\n")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "\n\t$(BIN)/tuner demo\n" in makefile
    for command in ("make demo", "make test"):
        assert command in readme
        assert command in ci
        assert re.search(rf"^{command.split()[1]}:", makefile, re.MULTILINE)


def test_the_readme_is_short():
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 120
    assert len(text.split()) <= 900


def test_the_python_of_the_readme_trains_a_network():
    (snippet,) = [step.text for page, step in every("python") if page == README]
    names: dict[str, object] = {}
    with redirect_stdout(io.StringIO()):
        exec(compile(snippet, "README.md", "exec"), names)
    assert set(names["net"][0].weight.unique().tolist()) == {-1.0, 1.0}
    assert names["loss"].item() < 0.4


def test_the_studies_that_are_shown_are_valid():
    studies = [step for _, step in every("toml")]
    assert len(studies) >= 2
    for step in studies:
        ComparisonSpec.model_validate({"name": "mine", **tomllib.loads(step.text)})


def test_the_study_with_every_field_has_every_field():
    text, *_ = [step.text for _, step in every("toml") if not step.saved_as]
    spec = ComparisonSpec.model_validate({"name": "mine", **tomllib.loads(text)})
    assert spec.arms[1].space.rule == "latent_sgd"
    for part in (spec, spec.verdict, spec.arms[0]):
        for name in type(part).model_fields.keys() - {"name", "description"}:
            assert re.search(rf"^(# )?\[*{name}\b", text, re.MULTILINE), name
    for name in vars(spec.workload):
        assert re.search(rf"^{name} = ", text, re.MULTILINE), name


PROSE = [
    *PAGES,
    *(ROOT / name for name in ("CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "studies").rglob("README.md")),
]


@pytest.mark.parametrize("page", PROSE, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_links_of_a_page_lead_somewhere(page):
    text = re.sub(
        r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
    )
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)", text):
        place = page.parent / target if target else page
        assert place.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", place.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in [_anchor(heading) for heading in headings], anchor


def _anchor(heading: str) -> str:
    """What a heading is called in an address."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def test_every_address_of_the_service_is_described(tmp_path):
    document = create_app(Settings(database=f"sqlite:///{tmp_path}/tuner.db")).openapi()
    text = (ROOT / "docs" / "service.md").read_text(encoding="utf-8")
    described = set(re.findall(r"[` ](/[a-z][\w/{}.-]*)`", text))
    there = {path.removeprefix("/v1") for path in document["paths"]}
    assert there <= described, there - described


def test_every_environment_variable_is_described_and_no_other():
    read = {
        name
        for room in ("tuner", "api")
        for path in (ROOT / room).rglob("*.py")
        for name in re.findall(r"TUNER_[A-Z_]*[A-Z]", path.read_text(encoding="utf-8"))
    }
    text = (ROOT / "docs" / "service.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(TUNER_\w+)` \|", text, re.MULTILINE)) == read
