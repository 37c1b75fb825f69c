"""The image's recipe: its stages, what it copies, and that the copied files make a wheel."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))

Instruction = tuple[str, str]


def stages() -> list[list[Instruction]]:
    """The instructions of each stage, FROM first; comments left out, continued lines joined."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    found: list[list[Instruction]] = []
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        if not line.strip():
            continue
        word, rest = line.split(maxsplit=1)
        if word == "FROM":
            found.append([])
        found[-1].append((word, rest))
    return found


def final(word: str) -> list[str]:
    """What the last stage says with that instruction."""
    return [rest for instruction, rest in stages()[-1] if instruction == word]


def copied() -> list[tuple[str, str]]:
    """Sources in the checkout and their destinations in the builder."""
    pairs = []
    for stage in stages():
        for word, rest in stage:
            if word == "COPY" and not rest.startswith("--from="):
                *sources, destination = rest.split()
                pairs += [(source, destination) for source in sources]
    return pairs


def sent(path: str) -> bool:
    """Whether .dockerignore lets a file into the build: the last rule that fits decides."""
    allowed = True
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        rule = line.lstrip("!")
        if not rule or rule.startswith("#"):
            continue
        parts = path.split("/")
        for depth in range(1, len(parts) + 1):  # a rule for a folder holds for what is in it
            name = "/".join(parts[:depth])
            fits = (
                fnmatch(parts[depth - 1], rule[3:])
                if rule.startswith("**/")
                else rule.count("/") == depth - 1 and fnmatch(name, rule)
            )
            if fits:
                allowed = line.startswith("!")
    return allowed


def test_the_compiler_of_the_wheel_stays_in_a_stage_of_its_own():
    builder, last = stages()
    base, _, name = builder[0][1].partition(" AS ")
    assert last[0][1] == base == "python:3.11-slim"
    assert name and final("COPY") == [f"--from={name} /wheels /wheels"]


def test_everything_copied_exists_and_is_let_in():
    assert copied()
    for source, _ in copied():
        assert (ROOT / source).exists(), source
        assert sent(source), source
    assert sent("tuner/kernels/kernels.cpp")


@pytest.mark.parametrize(
    "path",
    [
        ".env",
        ".git/config",
        ".venv/bin/python",
        "tuner.db",
        "tests/conftest.py",
        "tuner/__pycache__/config.cpython-311.pyc",
        "studies/tuner.db",
    ],
)
def test_what_is_no_part_of_the_software_is_not_let_in(path: str):
    assert not sent(path)


def test_git_never_takes_the_secrets():
    assert ".env" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


@pytest.mark.slow
def test_the_copied_files_are_enough_to_make_the_wheel(tmp_path: Path):
    context = tmp_path / "source"

    def kept_out(folder: str, names: list[str]) -> list[str]:
        where = Path(folder).relative_to(ROOT)
        return [name for name in names if not sent((where / name).as_posix())]

    for source, destination in copied():
        target = context / destination
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, target, ignore=kept_out)
        else:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / source, target)
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=context, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    inside = zipfile.ZipFile(wheel).namelist()
    for needed in (
        "tuner/api/app.py",
        "tuner/api/pages/assets/page.css",
        "tuner/kernels/kernels.cpp",
        "tuner/search/database/migrations/env.py",
        "tuner/studies/digits.toml",
        "tuner/bench/baselines/plain_optuna.py",
    ):
        assert needed in inside
    assert any(name.endswith("entry_points.txt") for name in inside)


def test_torch_comes_from_the_index_that_is_named_and_is_of_the_declared_version():
    assert final("ARG") == ['TORCH_INDEX=""', 'EXTRAS=""']
    (install,) = [run for run in final("RUN") if '--index-url "$TORCH_INDEX"' in run]
    wanted = set(re.findall(r'"(torch[^"]*)"', install))
    assert wanted == {one for one in PROJECT["dependencies"] if one.startswith("torch")}
    words = [word for word, _ in stages()[-1]]
    assert words.index("ARG") < words.index("COPY"), "a change of the code reinstalls torch"


def test_the_kernels_find_a_compiler():
    assert any(re.search(r"apt-get install .*\bg\+\+", run) for run in final("RUN"))


def test_it_runs_as_a_user_without_rights():
    user = final("USER")[-1]
    assert user not in ("root", "0")
    (made,) = [run for run in final("RUN") if "useradd" in run]
    assert made.split(" && ")[0].split()[-1] == user


def test_the_user_owns_every_volume_before_it_becomes_one():
    (volumes,) = map(json.loads, final("VOLUME"))
    (made,) = [run for run in final("RUN") if "--owner" in run]
    assert f"--owner={final('USER')[-1]} " in made
    assert set(volumes) <= set(made.split())
    words = [word for word, _ in stages()[-1]]
    assert words.index("VOLUME") > max(i for i, word in enumerate(words) if word == "RUN")
    assert final("WORKDIR")[-1] in volumes, "the database of `tuner demo` would be lost"


def test_its_program_is_the_command_of_the_package():
    assert json.loads(final("ENTRYPOINT")[-1]) == ["tuner"]
    assert "tuner" in PROJECT["scripts"]


def test_the_services_keep_things_where_the_image_does():
    image = dict(pair.split("=", 1) for pair in " ".join(final("ENV")).split())
    (volumes,) = map(json.loads, final("VOLUME"))
    for service in COMPOSE["services"].values():
        if "build" not in service:
            continue
        mounted = {volume.split(":")[1] for volume in service["volumes"]}
        assert mounted == set(volumes), "what is not mounted becomes an anonymous volume"
        for name, value in image.items():
            if value.startswith("/"):
                assert service["environment"][name] == value
