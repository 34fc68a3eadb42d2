"""Every shell script, and every command of a workflow, passes shellcheck."""

import re
import subprocess

import pytest
import yaml
from conftest import SCRIPTS

ROOT = SCRIPTS.parent
TRACKED = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")


def complaints(script, shell):
    done = subprocess.run(["shellcheck", "--shell", shell, "--external-sources", "--source-path", SCRIPTS, "-"],
                          cwd=ROOT, input=script, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


def shell_scripts():
    for path in filter(None, TRACKED):
        first = (ROOT / path).open("rb").readline().decode(errors="replace")
        if match := re.match(r"#!.*\b(bash|sh)$", first.strip()):
            yield pytest.param(ROOT / path, match[1], id=path)


@pytest.mark.parametrize("script, shell", shell_scripts())
def test_script(script, shell):
    assert complaints(script.read_text(), shell) == ""


def workflows():
    return [ROOT / path for path in TRACKED if re.fullmatch(r"\.github/workflows/.*\.yml", path)]


@pytest.mark.parametrize("workflow", workflows(), ids=lambda path: path.name)
def test_commands_of_a_workflow(workflow):
    document = yaml.safe_load(workflow.read_text())
    steps = [step for job in document["jobs"].values() for step in job["steps"]]
    assert steps and all(("run" in step) != ("uses" in step) for step in steps)
    for step in steps:
        if "run" in step:
            assert document["defaults"]["run"]["shell"] == "bash"
            assert complaints(re.sub(r"\$\{\{.*?\}\}", "value", step["run"]), "bash") == "", step["run"]


def test_a_mistake_is_found():
    assert "SC2086" in complaints("cat $1", "bash")
