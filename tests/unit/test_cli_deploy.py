"""`fleetcast deploy` runs the SAM CLI; here a script stands where SAM is installed, and notes its calls."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import RunningCloud
from tests.unit.cli_stage import Stage, fleetcast, project_folder, stand_up

from fleetcast_cli.deployed import LastDeployment
from fleetcast_cli.project import Project

pytestmark = pytest.mark.timeout(120)
SAM = """#!{python}
import json, os, shutil, sys, tempfile
tempfile.mkdtemp()
with open("calls.jsonl", "a") as calls:
    calls.write(json.dumps({{"arguments": sys.argv[1:], "environ": dict(os.environ), "cwd": os.getcwd()}}) + "\\n")
for number in range(100):
    print("line", number)
if sys.argv[1] == "build" and os.path.exists("built.yaml"):
    os.makedirs(".aws-sam/build", exist_ok=True)
    shutil.copy("built.yaml", ".aws-sam/build/template.yaml")
print("Error: the last words", file=sys.stderr)
sys.exit(int(open("exit-" + sys.argv[1]).read() if os.path.exists("exit-" + sys.argv[1]) else 0))
"""


@pytest.fixture(scope="module")
def deployed(cloud: RunningCloud) -> Stage:
    stage = stand_up(cloud)
    install_sam(cloud.project)
    return stage


@pytest.fixture
def stage(deployed: Stage) -> Stage:
    built = (".aws-sam/build/template.yaml", ".fleetcast/deployed.json", "built.yaml", "function/code.py")
    for name in ("calls.jsonl", "exit-build", "exit-deploy", *built):
        (deployed.cloud.project / name).unlink(missing_ok=True)
    return deployed


def install_sam(project: Path) -> None:
    sam = project / ".sam" / "bin" / "sam"
    sam.parent.mkdir(parents=True, exist_ok=True)
    sam.write_text(SAM.format(python=sys.executable))
    sam.chmod(0o755)


def calls(stage: Stage) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (stage.cloud.project / "calls.jsonl").read_text().splitlines()]


def test_it_builds_and_deploys_the_environment_of_samconfig(stage: Stage) -> None:
    report = stage.read("deploy")

    build, deploy = calls(stage)
    assert build["arguments"] == ["build", "--config-env", "local"]
    assert deploy["arguments"] == ["deploy", "--config-env", "local", "--no-confirm-changeset"]
    assert build["cwd"] == str(stage.cloud.project)
    assert report["outputs"] == stage.outputs


def test_the_outputs_are_a_table(stage: Stage) -> None:
    shown = stage.fleetcast("deploy").stdout

    assert stage.outputs["DataBucketName"] in shown
    assert "On this machine the API answers at http://127.0.0.1" in shown


def test_sam_sees_the_local_cloud_and_nothing_of_the_users_account(stage: Stage) -> None:
    stage.fleetcast(
        "deploy", env={"AWS_PROFILE": "theirs", "AWS_SECRET_ACCESS_KEY": "theirs", "LAYER_FLAGS": "theirs"}
    )

    environ = calls(stage)[0]["environ"]
    assert "theirs" not in environ.values()
    assert environ["AWS_ENDPOINT_URL"] == stage.cloud.address.endpoint_url
    assert environ["AWS_SHARED_CREDENTIALS_FILE"] == os.devnull
    assert (environ["LAYER_FLAGS"], environ["SAM_CLI_TELEMETRY"]) == ("", "0")


def test_what_sam_remembers_stays_in_the_project(stage: Stage) -> None:
    stage.fleetcast("deploy")

    folder = Path(calls(stage)[0]["environ"]["__SAM_CLI_APP_DIR"])
    assert folder.is_relative_to(stage.cloud.project / ".fleetcast")
    assert "lastVersionCheck" in json.loads((folder / "metadata.json").read_text())


@pytest.mark.parametrize("ending", ["0", "4"])
def test_what_sam_leaves_behind_is_removed_however_it_ends(stage: Stage, ending: str) -> None:
    (stage.cloud.project / "exit-deploy").write_text(ending)

    stage.fleetcast("deploy")
    stage.fleetcast("deploy", "--env", "prod", "--yes", env=stage.as_aws())

    assert len(calls(stage)) == 4
    for call in calls(stage):
        folder = Path(call["environ"]["TMPDIR"])
        assert folder.is_relative_to(stage.cloud.project / ".fleetcast")
        assert not folder.exists()


@pytest.fixture
def built(stage: Stage) -> Stage:
    """A project whose build leaves a template, with a function whose code stays where it is."""
    (stage.cloud.project / "function").mkdir(exist_ok=True)
    (stage.cloud.project / "function" / "code.py").write_text("1")
    (stage.cloud.project / "built.yaml").write_text("F:\n  CodeUri: ../../function\n")
    return stage


def commands(stage: Stage) -> list[str]:
    return [call["arguments"][0] for call in calls(stage)]


def test_what_is_deployed_already_is_not_deployed_again(built: Stage) -> None:
    first, again = built.read("deploy"), built.read("deploy")
    said = built.fleetcast("deploy").stdout

    assert commands(built) == ["build", "deploy", "build", "build"]
    assert (first["changed"], again["changed"]) == (True, False)
    assert again["outputs"] == built.outputs
    assert "is unchanged in local" in said
    assert built.outputs["DataBucketName"] in said


@pytest.mark.parametrize("changed", ["function/code.py", "built.yaml", "samconfig.toml"])
def test_any_change_is_deployed(built: Stage, changed: str) -> None:
    built.fleetcast("deploy")
    with (built.cloud.project / changed).open("a") as file:
        file.write("\n# changed\n")

    assert built.read("deploy")["changed"]
    assert commands(built) == ["build", "deploy"] * 2


def test_other_parameters_are_deployed(built: Stage) -> None:
    built.fleetcast("deploy")

    assert built.read("deploy", "--parameter-overrides", "AlertEmail=me@example.com")["changed"]


def test_a_deployment_that_failed_is_tried_again(built: Stage) -> None:
    (built.cloud.project / "exit-deploy").write_text("4")
    built.fleetcast("deploy")
    (built.cloud.project / "exit-deploy").unlink()

    assert built.read("deploy")["changed"]


@pytest.mark.parametrize(
    "change", [{"LastUpdatedTime": "later"}, {"StackId": "another"}, {"StackStatus": "x"}]
)
def test_a_stack_that_was_changed_otherwise_is_deployed_again(tmp_path: Path, change: dict[str, str]) -> None:
    project = Project(project_folder(tmp_path))
    project.state.mkdir()
    stack = {"StackId": "id", "StackStatus": "CREATE_COMPLETE", "CreationTime": "then"}
    last = LastDeployment(project)

    last.remember(stack, "digest")

    assert last.is_current(stack, "digest")
    assert not last.is_current(stack | change, "digest")
    assert not last.is_current(stack, "other")


def test_overrides_are_added_to_those_of_samconfig(stage: Stage) -> None:
    """SAM's own option replaces the list of samconfig.toml; the last of two values for a key wins."""
    expression = "ScheduleExpression=cron(0 3 ? * MON *)"
    stage.fleetcast(
        "deploy", "--parameter-overrides", expression, "--parameter-overrides", "AlertEmail=me@example.com"
    )

    arguments = calls(stage)[1]["arguments"]
    given = arguments[arguments.index("--parameter-overrides") + 1]
    assert given == 'Environment="local" AlertEmail="me@example.com" ScheduleExpression="cron(0 3 ? * MON *)"'


@pytest.mark.parametrize("command", ["build", "deploy"])
def test_a_failure_shows_the_end_of_what_sam_said_and_where_the_rest_is(stage: Stage, command: str) -> None:
    (stage.cloud.project / f"exit-{command}").write_text("4")

    done = stage.fleetcast("deploy")

    assert done.exit_code == 1
    assert f"sam {command} failed (exit code 4)" in done.stderr
    assert ".fleetcast/logs/deploy.log" in done.stderr
    assert "line 99\nError: the last words" in done.stderr
    assert "line 3\n" not in done.stderr
    assert "line 3\n" in (stage.cloud.project / ".fleetcast" / "logs" / "deploy.log").read_text()


def test_a_deployment_to_confirm_needs_a_terminal_or_a_yes(stage: Stage) -> None:
    refused = stage.fleetcast("deploy", "--env", "prod", env=stage.as_aws())
    confirmed = stage.fleetcast("deploy", "--env", "prod", "--yes", env=stage.as_aws())

    assert refused.exit_code == 2
    assert "add --yes" in refused.stderr
    assert confirmed.exit_code == 0
    assert "LAYER_FLAGS" not in calls(stage)[0]["environ"]


def test_a_project_without_sam_says_how_to_get_it(stage: Stage) -> None:
    sam = stage.cloud.project / ".sam" / "bin" / "sam"
    sam.unlink()
    try:
        done = stage.fleetcast("deploy")
    finally:
        install_sam(stage.cloud.project)

    assert done.exit_code == 1
    assert "run make install" in done.stderr


def test_a_local_deployment_needs_the_local_cloud(tmp_path: Path) -> None:
    project = project_folder(tmp_path)
    install_sam(project)

    done = fleetcast(project, "deploy")

    assert done.exit_code == 3
    assert "run fleetcast up" in done.stderr
