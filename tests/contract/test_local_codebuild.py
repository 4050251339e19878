"""A build really runs its buildspec, with CodeBuild's rules."""

import io
import json
import os
import time
import zipfile
from typing import Any

import pytest
from tests.contract.lab import Lab, held_to_model, wait_until

from fleetcast_local.service_model import ApiError

ENVIRONMENT = {
    "type": "LINUX_CONTAINER",
    "image": "aws/codebuild/standard:7.0",
    "computeType": "BUILD_GENERAL1_SMALL",
}


def source(lab: Lab, files: dict[str, str], key: str = "source/abc.zip") -> str:
    """Put an archive of the files, whose scripts are executable, and return its location."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (0o100755 if name.endswith(".sh") else 0o100644) << 16
            archive.writestr(entry, text)
    lab.put(key, buffer.getvalue())
    return f"{lab.bucket}/{key}"


class Builds:
    """One project, and its builds as a client of the API sees them."""

    def __init__(self, lab: Lab, **settings: Any) -> None:
        self.lab = lab
        self.service = lab.codebuild(**settings)

    def start(self, buildspec: str, request: dict[str, Any] | None = None, **project: Any) -> str:
        whole = {
            "name": "training",
            "source": {"type": "NO_SOURCE", "buildspec": buildspec},
            "artifacts": {"type": "NO_ARTIFACTS"},
            "environment": ENVIRONMENT,
            "serviceRole": "arn:aws:iam::000000000000:role/build",
        } | project
        build = self.service.start_build(whole, {"projectName": "training"} | (request or {}))
        held_to_model("codebuild", "StartBuild", {"build": build})
        return str(build["id"])

    def get(self, build_id: str) -> dict[str, Any]:
        answer = self.service.batch_get_builds([build_id])
        # The model says that this list is never empty; AWS answers an empty one all the same.
        held_to_model("codebuild", "BatchGetBuilds", {"builds": answer["builds"]})
        [build] = answer["builds"]
        return dict(build)

    def run(self, buildspec: str, request: dict[str, Any] | None = None, **project: Any) -> dict[str, Any]:
        build_id = self.start(buildspec, request, **project)
        return wait_until(lambda: (build := self.get(build_id))["buildComplete"] and build) or {}

    def log(self, build: dict[str, Any]) -> str:
        name = f"{build['projectName']}-{build['logs']['streamName']}.log"
        return (self.lab.store / "logs" / "builds" / name).read_text()


@pytest.fixture
def builds(lab: Lab) -> Builds:
    return Builds(lab)


def exported(build: dict[str, Any]) -> dict[str, str]:
    return {item["name"]: item["value"] for item in build["exportedEnvironmentVariables"]}


def phases(build: dict[str, Any]) -> dict[str, str]:
    return {phase["phaseType"]: phase.get("phaseStatus", "") for phase in build["phases"]}


def spec(*commands: str, env: str = "", **phases_: list[str]) -> str:
    """Return a buildspec of the given phases, or with the commands as its build phase."""
    lines = ["version: 0.2", env, "phases:"]
    for name, listed in (phases_ or {"build": list(commands)}).items():
        lines += [f"  {name}:", "    commands:", *(f"      - {json.dumps(command)}" for command in listed)]
    return "\n".join(lines)


def test_a_build_runs_the_buildspec_of_its_source(lab: Lab, builds: Builds) -> None:
    location = source(
        lab,
        {
            "buildspecs/training.yml": spec(
                "./tool.sh > made", "cat made", 'printf \'%s\\n\' "$CODEBUILD_SRC_DIR" "$PWD"'
            ),
            "tool.sh": "#!/bin/sh\necho it ran\n",
        },
    )

    build = builds.run(
        "", source={"type": "S3", "location": location, "buildspec": "buildspecs/training.yml"}
    )

    assert build["buildStatus"] == "SUCCEEDED", builds.log(build)
    assert "\nit ran\n" in builds.log(build)
    folders = [line for line in builds.log(build).splitlines() if line.endswith("/src")]
    assert len(folders) == 2
    assert len(set(folders)) == 1
    assert list(phases(build)) == [
        "SUBMITTED", "QUEUED", "PROVISIONING", "DOWNLOAD_SOURCE", "INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD",
        "UPLOAD_ARTIFACTS", "FINALIZING", "COMPLETED",
    ]  # fmt: skip


def test_the_request_may_name_another_source(lab: Lab, builds: Builds) -> None:
    old = source(lab, {"buildspec.yml": spec("echo old")}, "source/old.zip")
    new = source(lab, {"buildspec.yml": spec("echo the new one")}, "source/new.zip")

    build = builds.run("", {"sourceLocationOverride": new}, source={"type": "S3", "location": old})

    assert "\nthe new one\n" in builds.log(build)
    assert build["source"]["location"] == new


def test_a_source_that_is_not_there_fails_the_download(lab: Lab, builds: Builds) -> None:
    build = builds.run("", source={"type": "S3", "location": f"{lab.bucket}/nothing.zip"})

    assert build["buildStatus"] == "FAILED"
    assert phases(build)["DOWNLOAD_SOURCE"] == "FAILED"
    assert "INSTALL" not in phases(build)
    assert (
        "nothing.zip"
        in next(p for p in build["phases"] if p["phaseType"] == "DOWNLOAD_SOURCE")["contexts"][0]["message"]
    )


def test_all_commands_share_one_shell(builds: Builds) -> None:
    text = spec(
        install=["export EXPORTED=1", "PLAIN=2", "mkdir deep", "cd deep"],
        build=['test "$EXPORTED" = 1', 'test "$PLAIN" = 2', 'test "$(basename "$PWD")" = deep'],
    )

    build = builds.run(text)

    assert build["buildStatus"] == "SUCCEEDED", builds.log(build)


def test_a_command_that_ends_the_shell_ends_only_itself(builds: Builds) -> None:
    build = builds.run(spec("export KEPT=yes", "cd /", "exit 0", 'test "$KEPT" = yes && test "$PWD" = /'))

    assert build["buildStatus"] == "SUCCEEDED", builds.log(build)


def test_a_command_cannot_read_the_next_ones(builds: Builds) -> None:
    build = builds.run(spec("cat", "echo still here"))

    assert "\nstill here\n" in builds.log(build)


def test_variables_of_the_request_win_over_the_projects_and_those_over_the_buildspecs(builds: Builds) -> None:
    env = "env:\n  variables:\n    A: spec\n    B: spec\n    C: spec\n  exported-variables: [A, B, C]"
    project = ENVIRONMENT | {"environmentVariables": [{"name": n, "value": "project"} for n in "BC"]}

    build = builds.run(
        spec("true", env=env),
        {"environmentVariablesOverride": [{"name": "C", "value": "request", "type": "PLAINTEXT"}]},
        environment=project,
    )

    assert exported(build) == {"A": "spec", "B": "project", "C": "request"}


def test_variables_may_live_in_parameter_store_and_secrets_manager(lab: Lab, builds: Builds) -> None:
    lab.client("ssm").put_parameter(Name=f"/{lab.bucket}/url", Value="from ssm", Type="String")
    lab.client("secretsmanager").create_secret(Name=lab.bucket, SecretString='{"token": "hush"}')
    env = (
        f"env:\n  parameter-store:\n    URL: /{lab.bucket}/url\n"
        f"  secrets-manager:\n    TOKEN: {lab.bucket}:token\n  exported-variables: [URL, TOKEN]"
    )

    build = builds.run(spec('test "$TOKEN" = hush', env=env))

    assert build["buildStatus"] == "SUCCEEDED", builds.log(build)
    assert exported(build) == {"URL": "from ssm"}


def test_what_a_build_finds_in_its_environment(
    lab: Lab, builds: Builds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a real one")
    names = [
        "CODEBUILD_BUILD_ID", "CODEBUILD_BUILD_ARN", "CODEBUILD_BUILD_NUMBER", "CODEBUILD_BUILD_SUCCEEDING",
        "FLEETCAST_IMAGE_STORE", "LOCAL_CLOUD", "WHICH", "SECRET",
    ]  # fmt: skip
    env = f"env:\n  exported-variables: [{', '.join(names)}]"

    build = builds.run(
        spec("export WHICH=$(command -v python) SECRET=${AWS_SECRET_ACCESS_KEY:-none}", env=env)
    )

    values = exported(build)
    assert values["CODEBUILD_BUILD_ID"] == build["id"]
    assert values["CODEBUILD_BUILD_ARN"] == build["arn"]
    assert values["CODEBUILD_BUILD_SUCCEEDING"] == values["CODEBUILD_BUILD_NUMBER"] == "1"
    assert values["FLEETCAST_IMAGE_STORE"] == str(lab.store / "images")
    assert values["LOCAL_CLOUD"] == "yes"
    assert os.access(values["WHICH"], os.X_OK)
    assert ".venv" in values["WHICH"]
    assert values["SECRET"] == "none"


def test_exported_values_are_those_at_the_end_and_may_have_lines_and_quotes(builds: Builds) -> None:
    env = "env:\n  variables:\n    DIGEST: early\n  exported-variables: [DIGEST, ODD, NEVER]"

    build = builds.run(spec("export DIGEST=sha256:1", r"""export ODD="it's $(printf 'a\nb')" """, env=env))

    assert exported(build) == {"DIGEST": "sha256:1", "ODD": "it's a\nb"}


def test_a_failing_build_still_runs_post_build_and_says_why(builds: Builds) -> None:
    text = spec(
        build=["echo one", "exit 7", "echo never"], post_build=["echo succeeding=$CODEBUILD_BUILD_SUCCEEDING"]
    )

    build = builds.run(text)

    log = builds.log(build)
    assert build["buildStatus"] == "FAILED"
    assert (phases(build)["BUILD"], phases(build)["POST_BUILD"]) == ("FAILED", "SUCCEEDED")
    assert "\nsucceeding=0\n" in log
    assert "\nnever\n" not in log
    context = next(p for p in build["phases"] if p["phaseType"] == "BUILD")["contexts"][0]
    assert context == {
        "statusCode": "COMMAND_EXECUTION_ERROR",
        "message": "Error while executing command: exit 7. Reason: exit status 7",
    }


def test_a_failed_install_ends_the_build(builds: Builds) -> None:
    build = builds.run(spec(install=["false"], build=["echo never"]))

    assert build["buildStatus"] == "FAILED"
    assert "BUILD" not in phases(build)


@pytest.mark.parametrize(("on_failure", "goes_on"), [("ABORT", False), ("CONTINUE", True)])
def test_on_failure_decides_whether_the_next_phase_runs(
    builds: Builds, on_failure: str, *, goes_on: bool
) -> None:
    text = f"""
version: 0.2
phases:
  build:
    on-failure: {on_failure}
    commands: ["false"]
    finally: ["echo finally"]
  post_build:
    commands: ["echo afterwards"]
"""
    build = builds.run(text)

    assert build["buildStatus"] == "FAILED"
    assert "\nfinally\n" in builds.log(build)
    assert ("\nafterwards\n" in builds.log(build)) is goes_on


def test_finally_runs_after_success_too(builds: Builds) -> None:
    text = "version: 0.2\nphases:\n  build:\n    commands: ['true']\n    finally: ['echo finally']"

    assert "\nfinally\n" in builds.log(builds.run(text))


def test_a_build_over_its_time_is_ended(lab: Lab) -> None:
    builds = Builds(lab, seconds_per_minute=0.1)

    build = builds.run(spec("sleep 30"), {"timeoutInMinutesOverride": 5})

    assert build["buildStatus"] == "TIMED_OUT"
    assert phases(build)["BUILD"] == "TIMED_OUT"


def test_a_build_can_be_stopped(builds: Builds) -> None:
    build_id = builds.start(spec("sleep 30 & echo $! ; wait", env=""))
    wait_until(lambda: builds.get(build_id)["currentPhase"] == "BUILD")
    time.sleep(0.2)

    builds.service.stop_build(build_id)

    build = wait_until(lambda: (b := builds.get(build_id))["buildComplete"] and b) or {}
    assert build["buildStatus"] == "STOPPED"
    child = next(int(line) for line in builds.log(build).splitlines() if line.isdecimal())
    wait_until(lambda: not running(child))


def running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    ("buildspec", "sentence"),
    [
        ("version: 0.2\nphases: [", "YAML file error"),
        ("version: 0.1\nphases:\n  build:\n    commands: [a]", "version must be 0.2"),
        ("version: 0.2\nphases:\n  compile:\n    commands: [a]", "phases must be some of"),
        ("version: 0.2\nphases:\n  build:\n    commands: a", "must be a list of strings"),
        ("version: 0.2\nenv:\n  exported-variables: [AWS_X]\nphases:\n  build:\n    commands: [a]", "AWS_X"),
        ("missing.yml", "no such file"),
        ("../outside.yml", "no such file"),
    ],
    ids=["yaml", "version", "phase", "commands", "exported", "missing", "outside"],
)
def test_a_buildspec_that_codebuild_refuses_is_refused(builds: Builds, buildspec: str, sentence: str) -> None:
    build = builds.run(buildspec)

    assert build["buildStatus"] == "FAILED"
    context = next(p for p in build["phases"] if p["phaseType"] == "DOWNLOAD_SOURCE")["contexts"][0]
    assert context["statusCode"] == "YAML_FILE_ERROR"
    assert sentence in context["message"]


def test_a_build_is_told_of_when_it_begins_and_ends(lab: Lab, builds: Builds) -> None:
    builds.run(spec("true"))

    states = (
        wait_until(lambda: len(found := lab.details("CodeBuild Build State Change")) == 2 and found) or []
    )
    assert [state["build-status"] for state in states] == ["IN_PROGRESS", "SUCCEEDED"]
    assert states[-1]["project-name"] == "training"
    completed = [detail["completed-phase"] for detail in lab.details("CodeBuild Build Phase Change")]
    assert completed.index("INSTALL") < completed.index("BUILD")


def test_the_log_is_in_cloudwatch_logs(lab: Lab, builds: Builds) -> None:
    build = builds.run(spec("echo to the cloud"))

    events = lab.client("logs").get_log_events(
        logGroupName="/aws/codebuild/training", logStreamName=build["logs"]["streamName"]
    )["events"]
    assert "to the cloud" in [event["message"] for event in events]


def test_the_same_token_starts_one_build(builds: Builds) -> None:
    request = {"idempotencyToken": "r1"}

    assert builds.start(spec("true"), request) == builds.start(spec("true"), request)


def test_builds_are_numbered_and_survive_a_restart(lab: Lab, builds: Builds) -> None:
    first, second = builds.run(spec("true")), builds.run(spec("true"))

    again = Builds(lab)

    assert (first["buildNumber"], second["buildNumber"]) == (1, 2)
    assert again.get(second["arn"]) == second
    assert again.service.list_builds_for_project("training") == {"ids": [second["id"], first["id"]]}
    assert again.service.batch_get_builds(["nobody:1"]) == {"builds": [], "buildsNotFound": ["nobody:1"]}


def test_a_build_that_a_crash_left_running_is_a_fault(lab: Lab, builds: Builds) -> None:
    build_id = builds.start(spec("sleep 30"))
    wait_until(lambda: builds.get(build_id)["currentPhase"] == "BUILD")
    record = next((lab.store / "state" / "codebuild" / "Build").glob("*.json"))
    as_it_was = record.read_bytes()
    builds.service.stop()
    record.write_bytes(as_it_was)

    assert Builds(lab).get(build_id)["buildStatus"] == "FAULT"


def test_what_is_not_supported_is_refused(builds: Builds) -> None:
    with pytest.raises(ApiError, match="no artifacts of type S3"):
        builds.start(spec("true"), artifacts={"type": "S3", "location": "b"})
    with pytest.raises(ApiError, match="timeoutInMinutesOverride"):
        builds.start(spec("true"), {"timeoutInMinutesOverride": 1})
    with pytest.raises(ApiError, match="does not exist"):
        builds.service.build("nobody:1")
