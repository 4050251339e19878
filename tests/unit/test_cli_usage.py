"""What is typed wrongly ends with a sentence and 2; what goes wrong ends with a sentence and never a traceback."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.unit.cli_stage import fleetcast, project_folder

COMMANDS = (
    *("up", "down", "status", "deploy", "synth", "ingest", "retrain"),
    *("forecast", "fleet", "show", "runs", "demo"),
    *("train", "predict", "backtest", "explain"),
)


def as_a_program(
    *arguments: str, cwd: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **(env or {})}
    command = [sys.executable, "-c", "from fleetcast_cli.main import main; main()", *arguments]
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return project_folder(tmp_path / "project")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(command: str, project: Path) -> None:
    done = fleetcast(project, command, "--help")

    assert done.exit_code == 0
    assert re.search(rf"Example: .*fleetcast {command}\b", done.output, re.DOTALL)


def test_the_exit_codes_are_documented(project: Path) -> None:
    text = " ".join(fleetcast(project, "--help").output.split())

    for promise in ("0 done", "1 the outcome is a failure", "2 the command was typed wrongly", "3 refused"):
        assert promise in text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["forecast"], "Missing argument 'CUSTOMER'"),
        (["forecast", "7", "--period", "seven"], "valid integer"),
        (["runs", "--env", "moon"], "'moon' is not one of 'local', 'dev', 'staging', 'prod'"),
        (["fly"], "No such command 'fly'"),
        (["synth", "out", "--customers", "0"], "greater than or equal to 1"),
        (["synth", "out", "--start", "2024-02-01", "--end", "2024-01-01"], "end must not be before start"),
        (["ingest", "nothing.csv"], "nothing.csv does not exist"),
        (["deploy", "--parameter-overrides", "Schedule"], "write KEY=VALUE"),
    ],
)
def test_a_usage_error_is_one_sentence(arguments: list[str], sentence: str, project: Path) -> None:
    done = fleetcast(project, *arguments)

    assert done.exit_code == 2
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


@pytest.mark.parametrize("command", ["show", "forecast"])
def test_an_id_that_looks_like_an_option_is_explained(command: str, project: Path) -> None:
    done = fleetcast(project, command, "-7")

    assert done.exit_code == 2
    assert f"comes after --: fleetcast {command} -- CUSTOMER" in done.stderr
    assert "run fleetcast up" in fleetcast(project, command, "--", "-7").stderr
    assert "comes after" not in fleetcast(project, command, "7", "--jsn").stderr
    assert "comes after" not in fleetcast(project, "runs", "-7").stderr


def test_outside_a_project_it_says_what_a_project_is(tmp_path: Path) -> None:
    done = fleetcast(tmp_path, "runs")

    assert done.exit_code == 2
    assert "no template.yaml here or above" in done.stderr


def test_a_project_is_found_from_the_folders_below_it(project: Path) -> None:
    below = project / "some" / "folder"
    below.mkdir(parents=True)

    assert json.loads(fleetcast(below, "status", "--json").stdout)["inbox"]["path"].startswith(str(project))


def test_a_cloud_that_is_not_up_is_refused_with_advice(project: Path) -> None:
    for command in (["fleet"], ["runs"], ["show", "1"], ["forecast", "1"], ["retrain"]):
        done = fleetcast(project, *command)

        assert done.exit_code == 3
        assert "run fleetcast up" in done.stderr


def test_status_and_down_work_before_anything_was_started(project: Path) -> None:
    assert "fleetcast up starts it" in fleetcast(project, "status").stdout
    assert "was not up" in fleetcast(project, "down").stdout


def test_a_broken_samconfig_is_named(project: Path) -> None:
    (project / "samconfig.toml").write_text("[local")

    done = fleetcast(project, "runs")

    assert done.exit_code == 2
    assert "samconfig.toml is not valid TOML" in done.stderr


def test_an_environment_without_a_stack_is_named(project: Path) -> None:
    done = fleetcast(project, "runs", env={"FLEETCAST_ENV": "staging"})

    assert done.exit_code == 2
    assert "[staging.global.parameters]" in done.stderr


def test_there_is_no_colour_without_a_terminal(project: Path) -> None:
    for arguments in (["--help"], ["status"], ["forecast"]):
        done = as_a_program(*arguments, cwd=project)

        assert "\x1b" not in done.stdout + done.stderr


def test_the_demo_checks_its_setting_before_it_starts_anything(project: Path) -> None:
    done = fleetcast(project, "demo", env={"FLEETCAST_DEMO_CUSTOMERS": "many"})

    assert done.exit_code == 2
    assert "FLEETCAST_DEMO_CUSTOMERS is 'many'" in done.stderr
    assert not (project / ".fleetcast").exists()


def test_an_unexpected_error_is_a_sentence_and_its_traceback_is_in_the_log(
    project: Path, tmp_path: Path
) -> None:
    """A file that is no UTF-8 where samconfig.toml should be is nothing that anybody planned for."""
    (project / "samconfig.toml").write_bytes(b"\xff\xfe")

    done = as_a_program("--project", str(project), "runs", cwd=tmp_path)
    shown = as_a_program("runs", cwd=project, env={"FLEETCAST_DEBUG": "1"})

    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert ".fleetcast/logs/cli.log" in done.stderr
    assert "UnicodeDecodeError" in (project / ".fleetcast" / "logs" / "cli.log").read_text()
    assert "Traceback" in shown.stderr


def test_a_reader_that_has_seen_enough_is_no_error(project: Path) -> None:
    command = f'{sys.executable} -c "from fleetcast_cli.main import main; main()" synth out --customers 2 --json | true'
    done = subprocess.run(
        ["sh", "-c", command], cwd=project, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.stderr == ""


def test_synth_says_in_json_what_is_broken(project: Path, tmp_path: Path) -> None:
    out = tmp_path / "data"

    done = fleetcast(project, "synth", str(out), "--customers", "40", "--days", "60", "--defects", "--json")

    report = json.loads(done.stdout)
    assert report["customers"] == 40
    assert len(report["defects"]) == 2
    assert all(Path(file).is_file() for file in [*report["files"], report["unreadable"]])
