"""Everybody at once: more loads, answers, connections and requests than there should be."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

from tests.containers.serving_support import PATIENCE, Server, lay_out, naive_model, received, serving

MULTI = {"SAGEMAKER_MULTI_MODEL": "true"}
BODY = b'{"period": 3}'
HEAD = b"POST /models/m/invoke HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(BODY)


def test_a_model_in_use_is_unloaded_when_it_has_answered(tmp_path: Path) -> None:
    """Long answers, unloading and loading at once, on many connections: an answer is whole or a 404."""
    with serving(tmp_path, **MULTI, FLEETCAST_SERVING_WORKERS="2") as server:
        url = lay_out(tmp_path, "m")
        numbers = count()

        def ask(_: int) -> int:
            period = (1, 300, 4000)[next(numbers) % 3]
            answer = server.anew("POST", "/models/m/invoke", {"period": period})
            assert answer.status_code == 404 or len(answer.json()["forecast"]) == period
            return answer.status_code

        def replace(_: int) -> tuple[int, int]:
            loaded = server.anew("POST", "/models", {"model_name": "m", "url": url}).status_code
            return loaded, server.anew("DELETE", "/models/m").status_code

        with ThreadPoolExecutor(9) as threads:
            asked = [threads.submit(ask, i) for i in range(150)]
            replaced = [threads.submit(replace, i).result(PATIENCE) for i in range(30)]
            answers = Counter(each.result(PATIENCE) for each in asked)
        log = server.stop()

    assert set(replaced) == {(200, 200)}
    assert set(answers) <= {200, 404}
    assert '"LoadedModels":0,"LoadedModelBytes":0' in log


def test_ten_thousand_loads_at_once_are_all_answered(tmp_path: Path) -> None:
    """Ten thousand requests are sent before the first answer is read; half of the names come twice."""
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
        healthy = server.client.get("/ping")
        for connection in arriving:
            connection.sendall(BODY)
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
            connection.close()
        accepted = server.invoke("m", {"period": 1})

    assert (refused.status_code, refused.json()["code"]) == (503, "Busy")
    assert refused.headers["retry-after"] == "1"
    assert (healthy.status_code, accepted.status_code) == (200, 200)


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
