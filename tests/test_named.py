"""Objectives are imported where the configuration allows them, and refused with the fix."""

import sys
from pathlib import Path

import pytest

from tuner import named
from tuner.errors import InvalidInput
from tuner.workload import Objective

HERE = Path(__file__).parent / "search" / "objective"
MODULE = "objectives_for_tests"


@pytest.fixture(autouse=True)
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.setenv("TUNER_WORKLOADS", f"another, {MODULE}")


def objective(name: str, **options: object) -> Objective:
    return Objective(objective=f"{MODULE}:{name}", options=options)


def test_the_function_is_the_modules_own():
    assert (
        named.function(objective("formula"), "objective")(
            type(
                "T",
                (),
                {"epochs": 0, "test": False, "folder": Path("/nowhere"), "settings": {"x": 1.0}},
            )
        )
        == 0.75
    )


def test_a_module_that_is_not_allowed_is_refused_and_never_imported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("TUNER_WORKLOADS", "objectives,objectives_for_test,objectives_for_tests.x")
    (tmp_path / "marker_module.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for module in (MODULE, "marker_module"):
        with pytest.raises(InvalidInput, match=f"allows it with TUNER_WORKLOADS={module} "):
            named.function(Objective(objective=f"{module}:f"), "objective")
    assert not (tmp_path / "ran").exists()


def test_what_a_package_allows_holds_for_all_in_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TUNER_WORKLOADS", "mine")
    named.check_allowed(Objective(objective="mine.deep.module:f"))
    with pytest.raises(InvalidInput, match="may not be imported"):
        named.check_allowed(Objective(objective="mine2:f"))


def test_an_entry_point_of_an_installed_package_allows_its_module(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("TUNER_WORKLOADS", "")
    about = tmp_path / "lab_nets-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-nets\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[{named.GROUP}]\nmoons = lab_nets.loops:moons\n")
    with pytest.raises(InvalidInput):
        named.check_allowed(Objective(objective="lab_nets.loops:moons"))
    monkeypatch.syspath_prepend(str(tmp_path))
    named.check_allowed(Objective(objective="lab_nets.loops:moons"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("formul", r"has no function 'formul' \(there are binary, exits, formula, "),
        ("NOT_A_FUNCTION", "has no function 'NOT_A_FUNCTION'"),
    ],
)
def test_a_function_that_is_not_there_is_refused_with_those_that_are(name: str, words: str):
    with pytest.raises(InvalidInput, match=words):
        named.function(objective(name), "objective")


def test_options_that_the_function_does_not_take_are_refused_with_its_signature():
    with pytest.raises(
        InvalidInput,
        match=r"called as formula\(trial, heigth=\.\.\.\), but is "
        r"formula\(trial, height=0\.5, folder=''\): got an unexpected",
    ):
        named.function(objective("formula", heigth=1.0), "objective")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import no_such_module_at_all\n", "raised ModuleNotFoundError: No module named 'no_such"),
        ("1 / 0\n", "raised ZeroDivisionError: division by zero"),
        ("import sys; sys.exit(1)\n", "raised SystemExit: 1"),
        ("def f(:\n", "raised SyntaxError"),
    ],
)
def test_a_module_that_does_not_import_is_refused_with_what_it_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, words: str
):
    (tmp_path / "broken_module.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("TUNER_WORKLOADS", "broken_module")
    with pytest.raises(InvalidInput, match=f"importing broken_module {words}"):
        named.function(Objective(objective="broken_module:f"), "objective")
    sys.modules.pop("broken_module", None)


def test_a_module_of_the_working_directory_is_found_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUNER_WORKLOADS", "found_here,json")
    with pytest.raises(InvalidInput, match=rf"no module found_here; .* \(this is {tmp_path}\)"):
        named.function(Objective(objective="found_here:f"), "objective")
    for name in ("found_here", "json"):
        (tmp_path / f"{name}.py").write_text("def f(trial):\n    return 1.0\n")
    assert named.function(Objective(objective="found_here:f"), "objective")(None) == 1.0
    with pytest.raises(InvalidInput, match="json has no function 'f'"):
        named.function(Objective(objective="json:f"), "objective")
    sys.modules.pop("found_here", None)


def test_the_version_of_the_code_changes_with_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    package = tmp_path / "my_nets"
    package.mkdir()
    for name in ("__init__", "loop"):
        (package / f"{name}.py").write_text("def f(trial):\n    return 1.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("TUNER_WORKLOADS", "my_nets")
    workload = Objective(objective="my_nets.loop:f")
    named.function(workload, "objective")
    before = named.code_version(workload)
    assert before.startswith("sha256:") and named.code_version(workload) == before
    (package / "layers.py").write_text("x = 1\n")
    assert named.code_version(workload) == before, "what runs here was imported before"
    del sys.modules["my_nets"]
    assert named.code_version(workload) != before


def test_the_version_of_an_installed_distribution_is_its_own(monkeypatch: pytest.MonkeyPatch):
    import optuna

    monkeypatch.setenv("TUNER_WORKLOADS", "optuna")
    assert (
        named.code_version(Objective(objective="optuna.study:f")) == f"optuna {optuna.__version__}"
    )


def test_options_are_the_pydantic_model_that_a_parameter_is_annotated_with():
    workload = objective("modelled", height=0.25)
    call = named.function(workload, "objective")
    given = named.arguments(workload, "objective", call)
    assert (given["options"].height, given["options"].name) == (0.25, "mine")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"height": 2.0}, r"workload\.options\.height: .* less than or equal to 1, by Options"),
        ({"width": 2.0}, r"workload\.options\.width: Extra inputs.*options are height, name\)"),
        ({"height": "high"}, r"workload\.options\.height: .* valid number"),
    ],
)
def test_options_that_their_model_refuses_are_refused_before_anything_runs(options, words):
    with pytest.raises(InvalidInput, match=words):
        named.function(objective("modelled", **options), "objective")
