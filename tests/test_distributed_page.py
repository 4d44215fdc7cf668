"""The scripts and manifests of docs/distributed.md start workers with a TF_CONFIG and options."""

import json
import os
import re
import subprocess
from pathlib import Path

import typer
import yaml

from keras_shufflenet.cli import main
from keras_shufflenet.cli.training_options import check_strategy

PAGE = (Path(__file__).parents[1] / "docs" / "distributed.md").read_text(encoding="utf-8")
WORKERS = 4
PROGRAMS = {
    "keras-shufflenet": 'echo "$TF_CONFIG"; echo "$@"',
    "scontrol": "for i in 0 1 2 3; do echo node$i; done",
    "srun": 'shift; SLURM_PROCID=2 exec "$@"',
}


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def run(script, folder, **environment):
    """Run a script with programs that print what they are started with: the lines."""
    for name, body in PROGRAMS.items():
        (folder / name).write_text(f"#!/bin/bash\n{body}\n")
        (folder / name).chmod(0o755)
    path = f"{folder}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script],
        env=environment | {"PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def options_of_train_pose():
    train = typer.main.get_command(main.app).commands["train"]
    return {option for each in train.commands["pose"].params for option in each.opts}


def check_worker(config, command, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", config)
    check_strategy("multi_worker")
    words = command.split()
    assert words[:2] == ["train", "pose"]
    assert {word for word in words if word.startswith("--")} <= options_of_train_pose()
    assert "--strategy multi_worker" in command
    return json.loads(config)


def test_two_workers_on_one_machine(tmp_path, monkeypatch):
    script, _ = blocks("bash")
    lines = run(script, tmp_path)
    configs = [line for line in lines if line.startswith("{")]
    (command,) = {line for line in lines if not line.startswith("{")}
    found = [check_worker(config, command, monkeypatch) for config in configs]
    assert sorted(config["task"]["index"] for config in found) == [0, 1]


def test_kubernetes(tmp_path, monkeypatch):
    (text,) = blocks("yaml")
    service, job = yaml.safe_load_all(text)
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert (service["kind"], job["kind"]) == ("Service", "Job")
    assert job["spec"]["completions"] == job["spec"]["parallelism"] == WORKERS
    assert pod["subdomain"] == service["metadata"]["name"]
    assert service["spec"]["selector"]["job-name"] == job["metadata"]["name"]
    assert {each["name"] for each in container["volumeMounts"]} == {
        each["name"] for each in pod["volumes"]
    }
    names = {each["name"]: each["value"] for each in container["env"]}
    config, command = run(container["args"][0], tmp_path, JOB_COMPLETION_INDEX="3", **names)
    found = check_worker(config, command, monkeypatch)
    port = service["spec"]["ports"][0]["port"]
    hosts = [f"{job['metadata']['name']}-{i}.{pod['subdomain']}:{port}" for i in range(WORKERS)]
    assert found["cluster"]["worker"] == hosts
    assert found["task"]["index"] == 3
    assert int(re.search(r"--batch-size (\d+)", command)[1]) % WORKERS == 0


def test_slurm(tmp_path, monkeypatch):
    _, script = blocks("bash")
    config, command = run(script, tmp_path, SLURM_JOB_NODELIST="node[0-3]")
    found = check_worker(config, command, monkeypatch)
    assert found["cluster"]["worker"] == [f"node{i}:2222" for i in range(WORKERS)]
    assert found["task"]["index"] == 2
    assert f"--nodes={WORKERS}" in script
