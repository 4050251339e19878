"""What a person may set for the local cloud, and how InvokeEndpoint is answered on its port."""

import http.client
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.conftest import RunningCloud

from fleetcast_local import lifecycle
from fleetcast_local.settings import MINUTE, minute_seconds


@pytest.mark.parametrize(("environ", "seconds"), [({}, 60), ({MINUTE: "0.5"}, 0.5), ({MINUTE: "60"}, 60)])
def test_a_minute_of_the_metrics_lasts_as_long_as_it_is_set_to(
    environ: Mapping[str, str], seconds: float
) -> None:
    assert minute_seconds(environ) == seconds


@pytest.mark.parametrize("text", ["", "0", "-1", "61", "a minute", "nan", "inf"])
def test_a_cloud_with_an_impossible_minute_does_not_start_and_says_what_is_allowed(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MINUTE, text)

    with pytest.raises(lifecycle.CloudError, match=f"{MINUTE} must be a number of seconds from 0.1 to 60.0"):
        lifecycle.up(tmp_path)


@pytest.mark.parametrize(
    ("size", "status", "code"),
    [(10, 400, "ValidationError"), (26 << 20, 413, "ValidationError")],
    ids=["unknown endpoint", "too large"],
)
def test_an_invocation_that_cannot_be_is_answered_on_a_connection_that_goes_on(
    cloud: RunningCloud, size: int, status: int, code: str
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", cloud.address.port, timeout=30)
    try:
        for _ in range(2):
            connection.request("POST", "/endpoints/nobody/invocations", b"x" * size)
            response = connection.getresponse()
            body = json.loads(response.read())

            assert (response.status, response.headers["x-amzn-ErrorType"]) == (status, code)
            assert body["message"]
            assert response.headers["x-amzn-RequestId"]
    finally:
        connection.close()
