"""Everybody at once: more loads, answers, connections and requests than there should be."""

import json
import threading
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from tests.containers.serving_support import (
    PATIENCE,
    Server,
    lay_out,
    naive_model,
    received,
    serving,
    wait_until,
)

MULTI = {"SAGEMAKER_MULTI_MODEL": "true"}
BODY = b'{"period": 3}'
HEAD = b"POST /models/m/invoke HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(BODY)


def test_a_model_in_use_is_unloaded_when_it_has_answered(tmp_path: Path) -> None:
    """Callers never pause while the model comes and goes: an answer is whole or a 404."""
    periods, rounds = (1, 300, 4000), 20
    answers: Counter[tuple[int, int]] = Counter()
    over = threading.Event()
    with serving(tmp_path, **MULTI, FLEETCAST_SERVING_WORKERS="2") as server:
        url = lay_out(tmp_path, "m")

        def ask(period: int) -> None:
            while not over.is_set():
                answer = server.anew("POST", "/models/m/invoke", {"period": period})
                assert answer.status_code == 404 or len(answer.json()["forecast"]) == period
                answers[period, answer.status_code] += 1

        def replace(callers: list[Future[None]]) -> None:
            before = [answers[period, 200] for period in periods]
            assert server.anew("POST", "/models", {"model_name": "m", "url": url}).status_code == 200
            wait_until(
                lambda: (
                    any(caller.done() for caller in callers)
                    or all(answers[p, 200] > b for p, b in zip(periods, before, strict=True))
                ),
                "an answer to each caller",
            )
            assert server.anew("DELETE", "/models/m").status_code == 200

        with ThreadPoolExecutor(6) as threads:
            callers = [threads.submit(ask, period) for period in periods * 2]
            try:
                for _ in range(rounds):
                    replace(callers)
            finally:
                over.set()
        for caller in callers:
            caller.result(PATIENCE)
        log = server.stop()

    assert {status for _, status in answers} == {200, 404}
    assert all(answers[period, 200] >= rounds for period in periods)
    assert '"LoadedModels":0,"LoadedModelBytes":0' in log


def test_ten_thousand_loads_at_once_are_all_answered(tmp_path: Path) -> None:
    """Ten thousand requests are sent before the first answer is read; a third of the names come twice."""
    url = lay_out(tmp_path, "m", naive_model("m", season=1))
    connections, each = 100, 100
    with serving(tmp_path, **MULTI, FLEETCAST_SERVING_WORKERS="2") as server:
        opened = [server.connect() for _ in range(connections)]
        for number, connection in enumerate(opened):
            names = (f"m{(number % 75) * each + i}" for i in range(each))
            connection.sendall(b"".join(_load(name, url, last=i == each - 1) for i, name in enumerate(names)))
        statuses: Counter[bytes] = Counter()
        for connection in opened:
            statuses.update(_statuses(received(connection)))
            connection.close()
        listed = _listed(server)
        log = server.stop()

    assert statuses == {b"200": 7500, b"409": 2500}
    assert len(listed) == 7500
    assert listed == sorted(f"m{i}" for i in range(7500))
    assert "Traceback" not in log


def _load(name: str, url: str, *, last: bool) -> bytes:
    body = json.dumps({"model_name": name, "url": url}).encode()
    close = b"connection: close\r\n" if last else b""
    return b"POST /models HTTP/1.1\r\nhost: x\r\n%scontent-length: %d\r\n\r\n%s" % (close, len(body), body)


def _statuses(answers: bytes) -> list[bytes]:
    return [part[:3] for part in answers.split(b"HTTP/1.1 ")[1:]]


def _listed(server: Server) -> list[str]:
    found: list[str] = []
    query: dict[str, str] = {}
    while True:
        page = server.client.get("/models", params=query).json()
        found += [model["modelName"] for model in page["models"]]
        if "nextPageToken" not in page:
            return found
        query = {"next_page_token": page["nextPageToken"]}


def test_more_requests_than_allowed_are_told_to_come_back(tmp_path: Path) -> None:
    settings = {"FLEETCAST_SERVING_WORKERS": "1", "FLEETCAST_MAX_IN_FLIGHT": "2"}
    with serving(tmp_path, **MULTI, **settings) as server:
        server.load("m", lay_out(tmp_path, "m"))
        arriving = [server.connect() for _ in range(2)]
        for connection in arriving:
            # Permission to go on is given when the request has been let in.
            connection.sendall(HEAD.replace(b"host: x", b"host: x\r\nexpect: 100-continue"))
            assert connection.recv(100).startswith(b"HTTP/1.1 100")
        refused = server.invoke("m", {"period": 1})
        server.wait()
        for connection in arriving:
            connection.sendall(BODY)
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
            connection.close()
        accepted = server.invoke("m", {"period": 1})

    assert (refused.status_code, refused.json()["code"]) == (503, "Busy")
    assert refused.headers["retry-after"] == "1"
    assert accepted.status_code == 200


def test_many_connections_that_nobody_uses_harm_nobody(tmp_path: Path) -> None:
    with serving(tmp_path, **MULTI, FLEETCAST_SERVING_WORKERS="2") as server:
        server.load("m", lay_out(tmp_path, "m"))
        idle = [server.connect() for _ in range(500)]
        answers = Counter(
            server.anew("POST", "/models/m/invoke", {"period": 1}).status_code for _ in range(50)
        )
        for connection in idle:
            connection.close()

    assert answers == {200: 50}
