"""`fleetcast load` asks as many users would, counts everything that comes back, and says honestly what it was."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from tests.conftest import RunningCloud
from tests.unit.cli_stage import Stage, fleetcast, project_folder, stand_up
from tests.unit.load_server import Answer, LoadServer, forecast, of_path, running
from typer.testing import Result

pytestmark = pytest.mark.timeout(120)

SHORT = ("--users", "4", "--ramp", "0.2", "--hold", "0.5")


@pytest.fixture
def server() -> Iterator[LoadServer]:
    with running(LoadServer()) as server:
        yield server


def load(project: Path, server: LoadServer, *arguments: str) -> Result:
    return fleetcast(project, "load", "--container", server.url, *SHORT, *arguments)


def read(project: Path, server: LoadServer, *arguments: str) -> Any:
    return json.loads(load(project, server, *arguments, "--json").stdout)


def test_every_user_waits_for_its_answer_before_it_asks_again(tmp_path: Path, server: LoadServer) -> None:
    server.answer = lambda asked: Answer(document=of_path(asked).document, after=0.01)

    report = read(tmp_path, server)

    assert report["errors"] == 0
    assert server.most_at_once == 4
    assert 4 <= report["requests"] <= 4 * 70 + 4


def test_the_report_counts_what_the_server_was_asked(tmp_path: Path, server: LoadServer) -> None:
    report = read(tmp_path, server)

    assert report["requests"] == report["whole"]["answers"] == len(server.asked)
    assert report["hold_phase"]["answers"] < report["whole"]["answers"]
    assert sum(moment["requests"] for moment in report["timeline"]) <= report["requests"]
    times = report["whole"]["milliseconds"]
    assert 0 < times["p50"] <= times["p90"] <= times["p99"] <= times["max"]
    assert all(asked.body == {"period": 7} for asked in server.asked)


def test_customers_are_drawn_from_all_pages_of_the_containers_list(
    tmp_path: Path, server: LoadServer
) -> None:
    report = read(tmp_path, server)

    assert report["customers"] == 5
    assert {asked.path for asked in server.asked} == {
        f"/models/{name}/invoke" for name in ("a", "b", "c", "d%2F%C3%A9", "e")
    }


def test_a_container_with_one_model_is_asked_without_a_name(tmp_path: Path, server: LoadServer) -> None:
    server.models, server.answer = None, lambda _: forecast("somebody")

    report = read(tmp_path, server)

    assert report["errors"] == 0
    assert {(asked.path, *asked.body) for asked in server.asked} == {("/invocations", "period")}


def test_a_bundles_customers_are_named_in_the_body(tmp_path: Path, server: LoadServer) -> None:
    server.models, server.answer = None, lambda asked: forecast(asked.body["customer_id"])

    report = read(tmp_path, server, "--customer", "1", "--customer", "2")

    assert report["errors"] == 0
    assert {asked.body["customer_id"] for asked in server.asked} == {"1", "2"}


def test_refusals_are_errors_by_kind_with_an_example(tmp_path: Path, server: LoadServer) -> None:
    busy = Answer(503, {"code": "Unavailable", "message": "too much at once"})
    server.answer = lambda asked: busy if asked.number % 4 == 0 else of_path(asked)

    done = load(tmp_path, server, "--json")

    report = json.loads(done.stdout)
    (error,) = report["errors_by_kind"]
    assert done.exit_code == 1
    assert error["kind"] == "HTTP 503 Unavailable"
    assert "too much at once" in error["example"]
    assert error["count"] == report["errors"] == -(-len(server.asked) // 4)
    assert report["requests"] == report["whole"]["answers"] + report["errors"] == len(server.asked)


def test_the_apis_own_refusals_are_named_as_well(tmp_path: Path, server: LoadServer) -> None:
    server.answer = lambda _: Answer(404, {"error": {"code": "UnknownCustomer", "message": "no model"}})

    assert [e["kind"] for e in read(tmp_path, server)["errors_by_kind"]] == ["HTTP 404 UnknownCustomer"]


@pytest.mark.parametrize("content", [b"<html>no</html>", b"[]", b'{"forecast":[],"customer_id":"a"}'])
def test_a_200_that_is_not_the_forecast_is_an_error(
    tmp_path: Path, server: LoadServer, content: bytes
) -> None:
    server.answer = lambda _: Answer(raw=content)

    (error,) = read(tmp_path, server)["errors_by_kind"]
    assert error["kind"] == "wrong answer"
    assert "customer" in error["example"]


def test_another_customers_forecast_is_an_error(tmp_path: Path, server: LoadServer) -> None:
    server.models, server.answer = None, lambda _: forecast("another")

    assert "'another'" in read(tmp_path, server, "--customer", "1")["errors_by_kind"][0]["example"]


def test_an_answer_that_never_comes_is_an_error_after_a_while(tmp_path: Path, server: LoadServer) -> None:
    server.answer = lambda asked: Answer(document=of_path(asked).document, after=60)

    report = read(tmp_path, server, "--patience", "0.3", "--hold", "2")

    assert {error["kind"] for error in report["errors_by_kind"]} == {"timed out"}
    assert report["whole"]["answers"] == 0


def test_a_server_that_hangs_up_loses_one_request_each_time(tmp_path: Path, server: LoadServer) -> None:
    server.answer = lambda asked: Answer(None) if asked.number % 5 == 0 else of_path(asked)

    report = read(tmp_path, server)

    assert {error["kind"] for error in report["errors_by_kind"]} == {"connection lost"}
    assert report["errors"] == -(-len(server.asked) // 5)


def test_a_server_that_closes_after_every_answer_is_no_error(tmp_path: Path, server: LoadServer) -> None:
    server.answer = lambda asked: Answer(document=of_path(asked).document, closes=True)

    report = read(tmp_path, server)

    assert report["errors"] == 0
    assert report["whole"]["answers"] == len(server.asked) > 4


def test_what_is_not_http_is_an_error(tmp_path: Path) -> None:
    """Whoever listens there, it is told apart from a container that is broken."""
    with running(LoadServer()) as server:
        server.models = None
        server.answer = lambda _: Answer(status=-1)

        assert [e["kind"] for e in read(tmp_path, server)["errors_by_kind"]] == ["not HTTP"]


def test_nobody_listening_is_said_at_once(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"

    done = fleetcast(tmp_path, "load", "--container", url, *SHORT)

    assert done.exit_code == 1
    assert f"{url} does not answer as a serving container" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--container", "ftp://x"), "is not a URL such as http://127.0.0.1:8080"),
        (("--container", "http://127.0.0.1:notaport"), "is not a URL"),
        (("--container", "http://127.0.0.1:1", "--ramp", "0", "--hold", "0"), "both 0"),
        (("--container", "http://127.0.0.1:1", "--hold", "nan"), "--hold"),
        (("--container", "http://127.0.0.1:1", "--patience", "nan"), "--patience"),
        (("--users", "0"), "--users"),
        (("--users", "1000000"), "--users"),
        (("--period", "0"), "--period"),
        (("--patience", "0"), "--patience"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, arguments: tuple[str, ...], sentence: str) -> None:
    done = fleetcast(tmp_path, "load", *arguments)

    assert done.exit_code == 2
    assert sentence in done.stderr


def test_a_container_without_models_is_no_test(tmp_path: Path, server: LoadServer) -> None:
    server.models = []

    done = load(tmp_path, server)

    assert done.exit_code == 1
    assert "no model loaded" in done.stderr
    assert server.asked == []


def test_people_get_a_table_a_plot_and_a_picture(tmp_path: Path, server: LoadServer) -> None:
    project = project_folder(tmp_path / "project")

    done = load(project, server)

    assert done.exit_code == 0, done.output
    for row in ("Answers per second", "p50, ms", "p99, ms", "max, ms", "Errors", "This client, of a core"):
        assert row in done.stdout
    place = Path(re.findall(r"^Picture: (.*)$", done.stdout, re.MULTILINE)[0])
    assert place.parent == project / ".fleetcast" / "load"
    texts = [text.text for text in ET.parse(place).iter("{http://www.w3.org/2000/svg}text")]
    assert {"Answers per second", "Users", "p99, ms"} <= set(texts)
    assert "Instances" not in texts


def test_the_picture_goes_where_it_is_wanted(tmp_path: Path, server: LoadServer) -> None:
    wanted = tmp_path / "new" / "picture.svg"

    report = read(tmp_path, server, "--picture", str(wanted))

    assert report["picture"] == str(wanted)
    assert wanted.exists()


def test_a_picture_that_cannot_be_written_costs_no_report(tmp_path: Path, server: LoadServer) -> None:
    done = load(tmp_path, server, "--picture", str(tmp_path), "--json")

    assert done.exit_code == 0
    assert "could not be written" in done.stderr
    assert json.loads(done.stdout)["picture"] is None


def test_ctrl_c_ends_with_the_report_so_far(tmp_path: Path, server: LoadServer) -> None:
    command = [Path(sys.executable).with_name("fleetcast"), "load", "--container", server.url]
    process = subprocess.Popen(
        [*command, "--users", "2", "--ramp", "0", "--hold", "600", "--json"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"]},
    )
    while len(server.asked) < 50:
        assert process.poll() is None, process.communicate()

    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=30)

    assert process.returncode == 130
    assert "Interrupted" in errors
    report = json.loads(output)
    assert report["interrupted"]
    assert report["errors"] == 0
    assert report["requests"] >= 50


@pytest.fixture(scope="module")
def api() -> Iterator[LoadServer]:
    server = LoadServer(answer=lambda asked: forecast(asked.path.split("/")[3], asked.body["period"]))
    with running(server):
        yield server


@pytest.fixture(scope="module")
def stage(cloud: RunningCloud, api: LoadServer) -> Stage:
    stage = stand_up(cloud, f"{api.url}/v1")
    for number in range(4):
        stage.put_item("PointerTableName", {"customer_id": f"c{number}", "champion": {"run_id": "r"}})
    stage.put_item("PointerTableName", {"customer_id": "without", "challenger": {"run_id": "r"}})
    return stage


def test_the_api_is_asked_for_customers_who_have_a_model(stage: Stage, api: LoadServer) -> None:
    done = stage.fleetcast("load", *SHORT, "--env", "prod", "--json", "--period", "2", env=stage.as_aws())

    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["customers"] == 4
    assert {asked.path for asked in api.asked} == {f"/v1/customers/c{n}/forecasts" for n in range(4)}
    assert all(asked.body == {"period": 2} for asked in api.asked)


def test_every_request_to_the_api_is_signed_for_its_own_path(stage: Stage, api: LoadServer) -> None:
    """A signature covers the path, so that one customer's does not open another's."""
    api.asked.clear()
    stage.fleetcast("load", *SHORT, "--env", "prod", "--json", env=stage.as_aws())

    signatures: dict[str, set[str]] = {}
    for asked in api.asked:
        assert asked.headers["Authorization"].startswith(
            f"AWS4-HMAC-SHA256 Credential={stage.cloud.address.account}/"
        )
        assert asked.headers["Host"] == api.url.removeprefix("http://")
        signatures.setdefault(asked.headers["Authorization"], set()).add(asked.path)
    assert len(signatures) == 4
    assert all(len(paths) == 1 for paths in signatures.values())


def test_a_fleet_without_any_model_cannot_be_asked(cloud: RunningCloud, api: LoadServer) -> None:
    empty = stand_up(cloud, f"{api.url}/v1")

    done = empty.fleetcast("load", *SHORT, "--env", "prod", env=empty.as_aws())

    assert done.exit_code == 1
    assert "no customer has a model yet: run fleetcast retrain --wait" in done.stderr
