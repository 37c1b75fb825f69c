"""The files for clusters: their form, what they run, and what they do before a time limit."""

import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from tuner.cli.app import COMMANDS, app

NAMES = {place.partition(":")[2] for place in COMMANDS}
ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
SCRIPTS = sorted(DEPLOY.glob("*.sh"))
CLUSTER = yaml.safe_load((DEPLOY / "ray-cluster.yaml").read_text(encoding="utf-8"))
OF_SLURM = re.compile(r"SLURM_(JOB_ID|JOB_NUM_NODES|JOB_NODELIST|CPUS_PER_TASK|ARRAY_\w+_ID)")
OF_THE_SHELL = {"PWD", "HOME", "PATH"}
"""Set by whoever runs a script, beside what its head says to set."""

DIRECTIVES = {
    *("job-name", "array", "nodes", "ntasks", "ntasks-per-node", "cpus-per-task"),
    *("time", "signal", "requeue", "open-mode", "output"),
}


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def code(path: Path) -> str:
    """The script without its comments."""
    return "\n".join(re.sub(r"(^|\s)#.*", "", line) for line in text(path).splitlines())


def documented() -> Iterator[list[str]]:
    """Every ``tuner`` command of the files, with its arguments."""
    for path in sorted(DEPLOY.iterdir()):
        joined = re.sub(r"\\\n#?\s*", "", text(path))
        for line in joined.splitlines():
            for found in re.findall(r"(?:^|\s|\(|`)tuner ((?:[a-z]+)[^`&|#;]*)", line):
                if path.suffix == ".sh" and line.startswith("#SBATCH"):
                    continue
                words = found.strip().split()
                if words[0] in NAMES:
                    yield words


def test_the_files_name_the_commands_that_they_are_about():
    assert {words[0] for words in documented()} >= {"worker", "fleet"}


@pytest.mark.parametrize("words", list(documented()), ids=" ".join)
def test_every_command_in_the_files_exists_with_its_options(words: list[str]):
    names = list(takewhile(str.isalpha, words))
    help = CliRunner(env={"COLUMNS": "200"}).invoke(app, [*names, "--help"])
    assert help.exit_code == 0, help.output
    for option in re.findall(r"--[a-z][a-z-]*", " ".join(words)):
        assert option in help.output, f"tuner {' '.join(words)}: there is no {option}"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_bash_and_every_variable_in_it_is_set(script: Path):
    subprocess.run(["bash", "-n", script], check=True)
    assert os.access(script, os.X_OK)
    lines = code(script)
    assert "set -uo pipefail" in lines
    used = set(re.findall(r"\$\{?([A-Za-z_]\w*)", lines))
    own = set(re.findall(r"^\s*([a-z_]+)=", lines, re.MULTILINE))
    defaulted = set(re.findall(r"\$\{([A-Z]\w*):[-?]", lines))
    for name in used - own - defaulted - OF_THE_SHELL:
        assert OF_SLURM.fullmatch(name), f"{script.name}: nobody sets {name}"
    for name in defaulted:
        assert OF_SLURM.fullmatch(name) or name.startswith("TUNER_"), name
    bare = re.sub(r'"[^"]*"', "", lines)
    unquoted = re.findall(r"(?<![\w{:=-])\$[A-Za-z]\w*", bare)
    assert not unquoted, f"{script.name}: {unquoted} would be split at spaces"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_slurm_is_asked_to_signal_before_the_limit_and_to_requeue(script: Path):
    given = dict(
        (line.removeprefix("#SBATCH --").partition("=")[::2])
        for line in text(script).splitlines()
        if line.startswith("#SBATCH")
    )
    assert given.keys() <= DIRECTIVES
    where, _, seconds = given["signal"].partition("@")
    assert where == "B:USR1" and "requeue" in given  # to the script, which drains its workers
    grace = re.search(r"grace=\$\{TUNER_GRACE:-(\d+)\}", text(script))
    assert int(seconds) > (int(grace.group(1)) if grace else 60)
    assert given["open-mode"] == "append"  # or a requeued job would write over its log


STUBS = {
    "tuner": """
echo "tuner $*" >> "$LOG"
[ "$1" = worker ] || exit 0
trap 'sleep 0.2; echo "worker drained" >> "$LOG"; exit 0' TERM
while :; do sleep 0.05; done
""",
    "scontrol": """
[ "$1" = show ] && { printf 'node1\\nnode2\\n'; exit; }
echo "scontrol $*" >> "$LOG"
""",
    "srun": """
echo "srun $*" >> "$LOG"
case "$*" in *hostname*) echo 10.0.0.1 10.0.0.2; exit;; esac
while [ "$1" != ray ]; do shift; done
exec "$@"
""",
    "ray": """
echo "ray $*" >> "$LOG"
while [ "$1" != -- ]; do shift; done
shift
"$@"
echo "ray ended" >> "$LOG"
""",
}
"""What the scripts call, as small programs that write down how."""


@pytest.fixture
def stubs(tmp_path: Path) -> dict[str, str]:
    for name, body in STUBS.items():
        (tmp_path / name).write_text(f"#!/bin/bash{body}")
        (tmp_path / name).chmod(0o755)
    return {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "LOG": str(tmp_path / "log"),
        "TUNER_DATABASE_URL": "postgresql://me@host/tuner",
        "SLURM_JOB_ID": "42",
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_JOB_NODELIST": "node[1-2]",
        "SLURM_CPUS_PER_TASK": "3",
    }


def ended_by(
    script: str, stubs: dict[str, str], number: int, *, once: str, **more: str
) -> list[str]:
    """What was called by a script that is sent a signal once that was called."""
    log = Path(stubs["LOG"])
    process = subprocess.Popen(["bash", DEPLOY / script], env=stubs | more, cwd=log.parent)
    try:
        deadline = time.monotonic() + 60
        while not log.exists() or once not in log.read_text():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(number)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
    return log.read_text().splitlines()


@pytest.mark.slow
def test_an_array_drains_its_workers_before_the_limit_and_is_requeued(stubs):
    called = ended_by(
        "slurm-array.sh",
        stubs,
        signal.SIGUSR1,
        once="tuner worker",
        SLURM_ARRAY_JOB_ID="40",
        SLURM_ARRAY_TASK_ID="7",
        TUNER_PROCESSES="2",
    )
    assert called == [
        "tuner worker --processes 2 --grace 60",
        "worker drained",
        "scontrol requeue 40_7",
    ]


@pytest.mark.slow
def test_an_array_that_is_cancelled_drains_and_is_not_requeued(stubs):
    more = {"TUNER_WALLTIME": "600"}
    called = ended_by("slurm-array.sh", stubs, signal.SIGTERM, once="tuner worker", **more)
    assert called == ["tuner worker --grace 60 --walltime 600", "worker drained"]


@pytest.mark.slow
def test_a_fleet_is_brought_up_on_the_allocation_drained_before_the_limit_and_requeued(stubs):
    called = ended_by("slurm.sh", stubs, signal.SIGUSR1, once="tuner fleet up")
    first, run, ray, *rest = called
    assert first == "srun --nodes=1 --ntasks=1 --nodelist=node1 hostname --ip-address"
    assert run.startswith("srun --ntasks-per-node=1 --export=ALL ray symmetric-run")
    assert shlex.split(ray)[1:7] == [
        *("symmetric-run", "--address", "10.0.0.1:6379", "--min-nodes", "2", "--num-cpus=3"),
    ]
    assert rest == [
        "tuner fleet up --workers 6 --gpus 0",
        "tuner fleet down",
        "ray ended",
        "scontrol requeue 42",
    ]
    assert not list(Path(stubs["LOG"]).parent.glob(".tuner-fleet-*"))


def test_a_script_without_a_database_says_so(stubs):
    for script in SCRIPTS:
        done = subprocess.run(
            ["bash", script],
            env=stubs | {"TUNER_DATABASE_URL": ""},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode != 0
        assert "TUNER_DATABASE_URL: set it to the address of the database" in done.stderr


SPEC = CLUSTER["spec"]
GROUPS = [SPEC["headGroupSpec"], *SPEC["workerGroupSpecs"]]
FIELDS = {
    "rayVersion",
    "enableInTreeAutoscaling",
    "autoscalerOptions",
    "headGroupSpec",
    "workerGroupSpecs",
}
OF_WORKERS = {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"}
"""Fields of KubeRay's RayCluster, ray.io/v1: https://ray-project.github.io/kuberay/reference/api"""


def test_the_cluster_is_one_of_kuberays():
    assert (CLUSTER["apiVersion"], CLUSTER["kind"]) == ("ray.io/v1", "RayCluster")
    assert SPEC.keys() == FIELDS
    assert SPEC["enableInTreeAutoscaling"] is True
    assert SPEC["autoscalerOptions"]["upscalingMode"] in ("Default", "Aggressive", "Conservative")
    assert SPEC["headGroupSpec"].keys() == {"rayStartParams", "template"}
    for group in SPEC["workerGroupSpecs"]:
        assert group.keys() == OF_WORKERS
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    for group in GROUPS:  # Ray's options travel as words
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
    assert SPEC["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.get("groupName", "head"))
def test_each_pod_has_its_database_by_secret_and_its_training_by_address(group: dict[str, Any]):
    pod = group["template"]["spec"]
    (container,) = pod["containers"]
    values = {each["name"]: each.get("value") for each in container["env"]}
    secrets = {
        each["name"]: each["valueFrom"]["secretKeyRef"]
        for each in container["env"]
        if "valueFrom" in each
    }
    assert secrets.keys() == {"TUNER_DATABASE_URL", "PGPASSWORD"}
    for place in secrets.values():
        assert f"{place['key']}=" in text(DEPLOY / "ray-cluster.yaml")  # its head says how
        assert place["name"] == "tuner"
    assert "://" in values["TUNER_CHECKPOINT_DIR"]
    mounted = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert mounted[values["TUNER_DATA_DIR"]] and mounted[values["TUNER_CACHE_DIR"]]
    assert set(mounted.values()) == {volume["name"] for volume in pod["volumes"]}
    assert container["resources"]["requests"].keys() == {"cpu", "memory"}
    assert container["image"] == "bnn-tuner:ray"
