"""What the container does when its processes are killed or stopped, and when everybody comes at once."""

import http.client
import json
import os
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.containers.serving_support import (
    PATIENCE,
    Server,
    is_running,
    lay_out,
    received,
    serving,
    wait_until,
)

MULTI = {"SAGEMAKER_MULTI_MODEL": "true"}
BODY = b'{"period": 3}'
HEAD = (
    b"POST /models/m/invoke HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\n\r\n" % len(BODY)
)

# A connection that rests for longer may be closed when the container ends.
_REST = 0.25


class Load:
    """Clients that ask one after the other, each on a connection that it keeps, until they are told to stop."""

    def __init__(self, server: Server, clients: int = 8) -> None:
        self._port = server.port
        self._stop = threading.Event()
        self.answers: Counter[int] = Counter()
        self.broken: Counter[str] = Counter()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def _ask(self) -> None:
        while not self._stop.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
            try:
                self._ask_on(connection)
            except ConnectionRefusedError:
                # Nobody listens any more, which is how a client learns that it has come too late.
                return
            except (OSError, http.client.HTTPException) as error:
                self.broken[type(error).__name__] += 1
            finally:
                connection.close()

    def _ask_on(self, connection: http.client.HTTPConnection) -> None:
        while not self._stop.is_set():
            rested = time.monotonic()
            sent = 0.0
            try:
                connection.request("POST", "/models/m/invoke", BODY, {"content-type": "application/json"})
                sent = time.monotonic()
                answer = connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                # A busy machine may stop a client for so long that its connection is rightly closed meanwhile.
                if (sent or time.monotonic()) - rested < _REST or isinstance(error, ConnectionRefusedError):
                    raise
                return
            assert len(json.loads(answer.read())["forecast"]) == 3
            self.answers[answer.status] += 1
            if answer.getheader("connection") == "close":
                return

    def wait_for(self, answers: int) -> None:
        wanted = self.answers[200] + answers
        wait_until(lambda: self.answers[200] >= wanted, "the next answers")

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE)


def test_a_killed_worker_costs_only_what_it_was_answering(tmp_path: Path) -> None:
    with serving(tmp_path, **MULTI, FLEETCAST_SERVING_WORKERS="3") as server:
        for name in ("m", "n"):
            server.load(name, lay_out(tmp_path, name))
        load = Load(server)
        load.wait_for(200)
        keeper, *workers = server.children()
        for victim in workers[:2]:
            os.kill(victim, signal.SIGKILL)
            load.wait_for(200)
        load.end()

        wait_until(lambda: len(server.children()) == 4, "another worker")
        assert keeper in server.children()
        assert set(load.answers) == {200}
        # One request at most for each connection of the dead, and there are two dead.
        assert sum(load.broken.values()) <= 16
        for _ in range(20):
            listed = server.anew("GET", "/models").json()["models"]
            assert [model["modelName"] for model in listed] == ["m", "n"]
            assert server.anew("POST", "/models/n/invoke", {"period": 1}).json()["customer_id"] == "n"
        assert server.anew("DELETE", "/models/m").status_code == 200
        log = server.stop()

    assert log.count("ended with -9; starting it again") == 2
    assert '"WorkersRestarted":2' in log
    assert server.process.returncode == 0


def test_a_connection_that_waits_for_a_dead_worker_is_answered_by_the_next_one(tmp_path: Path) -> None:
    with serving(tmp_path, **MULTI, FLEETCAST_SERVING_WORKERS="1") as server:
        server.load("m", lay_out(tmp_path, "m"))
        _, worker = server.children()
        os.kill(worker, signal.SIGSTOP)
        with server.connect() as waiting:
            waiting.sendall(HEAD.replace(b"host: x", b"host: x\r\nconnection: close") + BODY)
            os.kill(worker, signal.SIGKILL)
            answer = received(waiting)

    assert answer.startswith(b"HTTP/1.1 200 OK")


def test_a_dead_worker_does_not_keep_a_model_from_being_unloaded(tmp_path: Path) -> None:
    with serving(tmp_path, **MULTI, FLEETCAST_SERVING_WORKERS="2") as server:
        server.load("m", lay_out(tmp_path, "m"))
        for _ in range(20):
            server.anew("POST", "/models/m/invoke", {"period": 1})
        _, stopped, other = server.children()
        # A worker that holds a lease and does not answer: the keeper waits for it, and for its end.
        os.kill(stopped, signal.SIGSTOP)
        with ThreadPoolExecutor(1) as threads:
            unloading = threads.submit(_unload_from, server, other)
            wait_until(lambda: b"404" in _asked_of(server, other, b"GET /models/m"), "the model to be gone")
            assert not unloading.done()
            os.kill(stopped, signal.SIGKILL)
            assert unloading.result(PATIENCE).startswith(b"HTTP/1.1 200")


def _unload_from(server: Server, worker: int) -> bytes:
    return _asked_of(server, worker, b"DELETE /models/m")


def _asked_of(server: Server, worker: int, line: bytes) -> bytes:
    """Ask on a connection that leads to a certain worker; the others do not matter here."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with server.connect() as connection:
            port = connection.getsockname()[1]
            time.sleep(0.05)  # within which a worker that runs has accepted it
            if port in _peers_of(worker):
                connection.sendall(line + b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
                return received(connection)
    raise AssertionError("no connection leads to that worker")


def _peers_of(pid: int) -> set[int]:
    """Return the remote ports of a process's connections."""
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            inodes.add(str(link.readlink()).removeprefix("socket:[").rstrip("]"))
        except FileNotFoundError:
            continue
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {int(row[2].split(":")[1], 16) for row in rows if row[9] in inodes}


def test_without_the_keeper_the_container_ends_and_leaves_nobody_behind(tmp_path: Path) -> None:
    """Nobody knows any more what is loaded; the platform starts a container that has ended again."""
    with serving(tmp_path, **MULTI, FLEETCAST_SERVING_WORKERS="2") as server:
        keeper, *workers = server.children()
        os.kill(keeper, signal.SIGKILL)
        log = server.ended()

    assert server.process.returncode == 1
    assert "the keeper ended with -9; nothing can be served" in log
    wait_until(lambda: not any(map(is_running, workers)), "the end of the workers")


def test_without_their_parent_no_process_stays(tmp_path: Path) -> None:
    with serving(tmp_path, **MULTI, FLEETCAST_SERVING_WORKERS="2") as server:
        children = server.children()
        assert len(children) == 3
        server.process.kill()
        server.process.wait(PATIENCE)

        wait_until(lambda: not any(map(is_running, children)), "the end of the other processes")
        with pytest.raises(ConnectionRefusedError):
            server.connect()


def test_a_stopped_keeper_makes_the_container_unhealthy_until_it_goes_on(tmp_path: Path) -> None:
    with serving(tmp_path, **MULTI, FLEETCAST_SERVING_WORKERS="1") as server:
        keeper, _ = server.children()
        os.kill(keeper, signal.SIGSTOP)
        unhealthy = server.client.get("/ping")
        os.kill(keeper, signal.SIGCONT)

        assert (unhealthy.status_code, unhealthy.json()["code"]) == (503, "Unavailable")
        server.wait()


@pytest.mark.parametrize("workers", ["1", "3"])
def test_sigterm_under_load_breaks_no_request(tmp_path: Path, workers: str) -> None:
    with serving(tmp_path, **MULTI, FLEETCAST_SERVING_WORKERS=workers) as server:
        server.load("m", lay_out(tmp_path, "m"))
        load = Load(server)
        load.wait_for(200)
        began = time.monotonic()
        server.process.terminate()
        log = server.ended()
        load.end()

    assert load.broken == {}
    assert set(load.answers) == {200}
    assert server.process.returncode == 0
    assert time.monotonic() - began < 30
    assert "Traceback" not in log


def test_sigterm_lets_a_request_finish_that_is_still_arriving(tmp_path: Path) -> None:
    with serving(tmp_path, **MULTI) as server:
        server.load("m", lay_out(tmp_path, "m"))
        with server.connect() as client:
            client.sendall(HEAD + BODY[:4])
            # Answers on another connection of the same worker or not: the first bytes have been sent long before.
            server.client.get("/ping")
            server.process.terminate()
            wait_until(lambda: not _listens(server), "the end of listening")
            client.sendall(BODY[4:])
            answer = received(client)
        server.ended()

    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b"connection: close" in answer
    assert server.process.returncode == 0


def _listens(server: Server) -> bool:
    try:
        server.connect().close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("output", ["/dev/full", "a closed pipe"])
def test_an_output_that_takes_nothing_keeps_nobody_from_being_served(tmp_path: Path, output: str) -> None:
    """A full disk under the log, or a reader that went away."""
    if output == "/dev/full":
        sink = os.open(output, os.O_WRONLY)
    else:
        reader, sink = os.pipe()
        os.close(reader)
    with serving(
        tmp_path, **MULTI, FLEETCAST_SERVING_WORKERS="2", FLEETCAST_METRICS_SECONDS="1", output=sink
    ) as server:
        os.close(sink)
        url = lay_out(tmp_path, "m")
        for number in range(50):
            assert server.load(f"m{number}", url).status_code == 200
        _, worker, _ = server.children()
        os.kill(worker, signal.SIGKILL)
        began = time.monotonic()
        wait_until(lambda: time.monotonic() - began > 1.5, "a line of metrics")
        for _ in range(20):
            assert server.anew("POST", "/models/m7/invoke", {"period": 1}).status_code == 200
        server.stop()

    assert server.process.returncode == 0


def test_a_port_that_was_just_used_can_be_used_again(tmp_path: Path) -> None:
    with serving(tmp_path, **MULTI) as first:
        lingering = [first.connect() for _ in range(3)]
        first.stop()
    with serving(tmp_path, **MULTI, SAGEMAKER_BIND_TO_PORT=str(first.port)) as second:
        second.wait()
    for connection in lingering:
        connection.close()
