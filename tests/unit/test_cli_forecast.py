"""`fleetcast forecast` is a client of the HTTP API like any other: signed, patient for a while, and honest."""

import io
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet
from tests.conftest import RunningCloud
from tests.unit.cli_stage import Stage, stand_up
from typer.testing import Result

from fleetcast_cli.plot import draw_forecast

pytestmark = pytest.mark.timeout(120)


def answer(customer: str = "7", steps: int = 7) -> dict[str, Any]:
    days = [f"2026-01-{day + 1:02d}T00:00:00Z" for day in range(steps)]
    return {
        "customer_id": customer,
        "run_id": "r20260101120000-abcdef",
        "model_family": "prophet",
        "training_end": "2025-12-31T00:00:00Z",
        "model_age_seconds": 60,
        "interval": 0.8,
        "forecast": [
            {"timestamp": day, "yhat": 100.0 + n, "yhat_lower": 90.0 + n, "yhat_upper": 110.5 + n}
            for n, day in enumerate(days)
        ],
    }


def problem(message: str) -> dict[str, Any]:
    return {"error": {"code": "x", "message": message, "field": None}}


@dataclass
class Gateway:
    """An HTTP server that answers what it is told to, and remembers what it was asked."""

    replies: list[tuple[int, Any]] = field(default_factory=list)
    asked: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    url: str = ""

    def serve(self) -> ThreadingHTTPServer:
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                gateway.asked.append((self.path, dict(self.headers.items()), body))
                status, document = gateway.replies.pop(0)
                content = document if isinstance(document, bytes) else json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                if status == 503:
                    self.send_header("Retry-After", "0.2")
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        return server


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    gateway = Gateway()
    server = gateway.serve()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield gateway
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def stage(cloud: RunningCloud, gateway: Gateway) -> Stage:
    return stand_up(cloud, gateway.url)


def ask(stage: Stage, gateway: Gateway, *arguments: str, replies: list[tuple[int, Any]]) -> Result:
    """Ask with --env prod, so that the stack's own ApiUrl is called with the user's own credentials."""
    gateway.replies, gateway.asked = replies, []
    return stage.fleetcast("forecast", *arguments, "--env", "prod", env=stage.as_aws())


def test_a_forecast_is_a_table(stage: Stage, gateway: Gateway) -> None:
    done = ask(stage, gateway, "7", "--period", "2", replies=[(200, answer(steps=2))])

    assert done.exit_code == 0
    assert [line.split() for line in done.stdout.splitlines() if line.strip().startswith("2026")] == [
        ["2026-01-01", "100", "90", "110.5"],
        ["2026-01-02", "101", "91", "111.5"],
    ]


def test_json_is_the_apis_own_answer(stage: Stage, gateway: Gateway) -> None:
    done = ask(stage, gateway, "7", "--json", replies=[(200, answer())])

    assert json.loads(done.stdout) == answer()


def test_all_that_may_be_asked_is_asked(stage: Stage, gateway: Gateway) -> None:
    ask(
        *(
            stage,
            gateway,
            "7",
            "--start",
            "2026-03-01",
            "--frequency",
            "weekly",
            "--interval",
            "0.95",
            "--components",
        ),
        replies=[(200, answer())],
    )

    assert gateway.asked[0][2] == {
        "period": 7,
        "start": "2026-03-01",
        "frequency": "weekly",
        "interval": 0.95,
        "components": True,
    }


def test_components_are_columns_of_the_table(stage: Stage, gateway: Gateway) -> None:
    explained = answer(steps=1)
    explained["interval"] = 0.975
    explained["forecast"][0]["components"] = {"trend": 98.0, "we\x1bekly": 2.0}

    lines = ask(stage, gateway, "7", "--components", replies=[(200, explained)]).stdout.splitlines()

    header = next(line for line in lines if "Forecast" in line)
    assert header.split()[-2:] == ["trend", "we\ufffdekly"], "a name cannot steer the terminal"
    assert "Lower (97.5%)" in header
    assert next(line for line in lines if "2026-01-01" in line).split()[-2:] == ["98", "2"]


def test_csv_is_a_table_for_machines(stage: Stage, gateway: Gateway) -> None:
    done = ask(stage, gateway, "7", "--csv", replies=[(200, answer(steps=1))])

    assert done.stdout == (
        "customer_id,timestamp,yhat,yhat_lower,yhat_upper\n7,2026-01-01T00:00:00Z,100.0,90.0,110.5\n"
    )


@pytest.mark.parametrize("options", [("--csv", "--json"), ("--csv", "--plot"), ("--json", "--plot")])
def test_ways_to_print_exclude_each_other(stage: Stage, gateway: Gateway, options: tuple[str, str]) -> None:
    """None of them is dropped without a word."""
    done = ask(stage, gateway, "7", *options, replies=[])

    assert done.exit_code == 2
    assert "--json, --csv and --plot exclude each other" in done.stderr


def test_the_request_is_signed_with_the_users_credentials(stage: Stage, gateway: Gateway) -> None:
    ask(stage, gateway, "7", "--period", "3", replies=[(200, answer())])

    ((path, headers, body),) = gateway.asked
    assert path == "/v1/customers/7/forecasts"
    assert body == {"period": 3}
    assert headers["Content-Type"] == "application/json"
    credential = f"AWS4-HMAC-SHA256 Credential={stage.cloud.address.account}/"
    assert headers["Authorization"].startswith(credential)
    assert "/us-east-1/execute-api/aws4_request" in headers["Authorization"]


@pytest.mark.parametrize(
    ("customer", "segment"),
    [
        ("a/b", "a%2Fb"),
        ("../../etc", "..%2F..%2Fetc"),
        ("..", "%2E%2E"),
        ("Ünï ¢ode", "%C3%9Cn%C3%AF%20%C2%A2ode"),
        ("100%", "100%25"),
        ("a?b#c", "a%3Fb%23c"),
    ],
)
def test_any_customer_id_stays_one_segment_of_the_path(
    stage: Stage, gateway: Gateway, customer: str, segment: str
) -> None:
    done = ask(stage, gateway, customer, replies=[(200, answer(customer))])

    assert done.exit_code == 0
    assert gateway.asked[0][0] == f"/v1/customers/{segment}/forecasts"


@pytest.mark.parametrize(
    ("reply", "code", "sentence"),
    [
        ((404, problem("customer '7' has no released model")), 1, "404: customer '7' has no released model"),
        ((400, problem("period must be a whole number")), 2, "400: period must be a whole number"),
        ((403, {"message": "Missing Authentication Token"}), 1, "403: Missing Authentication Token"),
        ((500, b"<html>"), 1, "500: <html>"),
        ((502, b""), 1, "502: without a word"),
        ((504, []), 1, "504"),
    ],
)
def test_a_refusal_is_the_apis_sentence(
    stage: Stage, gateway: Gateway, reply: tuple[int, Any], code: int, sentence: str
) -> None:
    done = ask(stage, gateway, "7", replies=[reply])

    assert done.exit_code == code
    assert sentence in done.stderr
    assert done.stdout == ""


def test_a_customer_whom_a_run_left_without_a_model_is_told_why(stage: Stage, gateway: Gateway) -> None:
    run_id, body = "r20260101120000-abcdef", io.BytesIO()
    parquet.write_table(
        pa.table(
            {"run_id": [run_id], "customer_id": ["short"], "status": ["too_short"], "reason": ["3 rows"]}
        ),
        body,
    )
    stage.put("DataBucketName", f"ledger/run_id={run_id}/part-0.parquet", body.getvalue())
    stage.put_item("RunTableName", {"run_id": run_id, "status": "SUCCEEDED"})

    known = ask(stage, gateway, "short", replies=[(404, problem("customer 'short' has no released model"))])
    unknown = ask(stage, gateway, "else", replies=[(404, problem("customer 'else' has no released model"))])

    assert known.exit_code == 1
    assert (
        f"released model. Customer short has no model: run {run_id} says too_short (3 rows)." in known.stderr
    )
    assert unknown.stderr.strip().endswith("404: customer 'else' has no released model")


def test_a_model_that_is_not_ready_is_asked_again_after_the_time_it_names(
    stage: Stage, gateway: Gateway
) -> None:
    began = time.monotonic()
    done = ask(
        stage,
        gateway,
        "7",
        replies=[(503, problem("not ready")), (503, problem("not ready")), (200, answer())],
    )

    assert done.exit_code == 0
    assert time.monotonic() - began >= 0.4
    assert "not ready Waiting 0.2 s (1 of 3)" in done.stderr


def test_patience_ends(stage: Stage, gateway: Gateway) -> None:
    done = ask(stage, gateway, "7", replies=[(503, problem("not ready"))] * 4)

    assert done.exit_code == 1
    assert len(gateway.asked) == 4


def test_an_empty_customer_is_a_usage_error(stage: Stage, gateway: Gateway) -> None:
    assert ask(stage, gateway, "", replies=[]).exit_code == 2


@pytest.mark.parametrize("steps", [1, 2, 28])
def test_the_plot_shows_dates_and_bounds_and_no_colour_unless_asked(steps: int) -> None:
    plain = draw_forecast(answer(steps=steps), 100, colours=False)

    assert "\x1b" not in plain
    assert "01 Jan" in plain
    assert "its 80% interval" in plain
    assert "\x1b" in draw_forecast(answer(steps=steps), 100, colours=True)


def test_a_plot_is_drawn_on_request(stage: Stage, gateway: Gateway) -> None:
    assert "┤" in ask(stage, gateway, "7", "--plot", replies=[(200, answer())]).stdout
