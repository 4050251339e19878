"""Clients that are slow, silent, greedy, confused or hostile cost their own connection, and nobody else's."""

import json
import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.containers.serving_support import Server, lay_out, received, serving, wait_until

BODY = b'{"period": 3}'
HEAD = b"POST /models/m/invoke HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n" % len(BODY)
REQUEST = HEAD + b"\r\n" + BODY
LAST = HEAD + b"connection: close\r\n\r\n" + BODY


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with one_worker(tmp_path_factory.mktemp("models")) as server:
        yield server


@pytest.fixture(scope="module")
def impatient_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with one_worker(tmp_path_factory.mktemp("models"), FLEETCAST_READ_SECONDS="1") as server:
        yield server


@contextmanager
def one_worker(folder: Path, **settings: str) -> Iterator[Server]:
    with serving(folder, SAGEMAKER_MULTI_MODEL="true", FLEETCAST_SERVING_WORKERS="1", **settings) as server:
        url = lay_out(folder, "m")
        wait_until(lambda: server.load("m", url).status_code in {200, 409}, "a loaded model")
        yield server


@pytest.fixture
def server(process: Server) -> Iterator[Server]:
    yield process
    goes_on(process)


@pytest.fixture
def impatient(impatient_process: Server) -> Iterator[Server]:
    """A container that gives a request a second to arrive, which on a busy machine is not always enough."""
    yield impatient_process
    goes_on(impatient_process)


def goes_on(server: Server) -> None:
    wait_until(lambda: is_answered(server), "an answer")
    assert "Traceback" not in server.log()


def is_answered(server: Server) -> bool:
    return server.anew("POST", "/models/m/invoke", {"period": 1}).status_code == 200


def parsed(answer: bytes) -> tuple[int, dict[str, object]]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/json" in head
    return int(head.split()[1]), json.loads(body)


def exchanged(server: Server, sent: bytes) -> bytes:
    with server.connect() as connection:
        connection.sendall(sent)
        return received(connection)


@pytest.mark.parametrize(
    "sent",
    [b"POST", HEAD, HEAD + b"\r\n", REQUEST[:-1]],
    ids=["a word", "half the headers", "no body", "all but the last byte"],
)
def test_a_request_that_does_not_arrive_in_time_is_refused(impatient: Server, sent: bytes) -> None:
    status, problem = parsed(exchanged(impatient, sent))

    assert (status, problem["code"]) == (408, "RequestTimeout")
    assert problem["message"] == "the request did not arrive within 1 s"


def test_a_client_that_sends_a_byte_now_and_then_has_no_more_time_than_others(impatient: Server) -> None:
    with impatient.connect() as connection:
        connection.settimeout(0.1)
        answer = b""
        for byte in HEAD * 3:
            try:
                connection.sendall(bytes([byte]))
                answer += connection.recv(65_536)
                break
            except TimeoutError:
                continue
            except OSError:
                break

    assert answer.startswith(b"HTTP/1.1 408")


def test_a_connection_is_not_closed_between_two_requests(impatient: Server) -> None:
    """The time to read counts from a request's first byte, and a connection may rest for longer."""
    with impatient.connect() as connection:
        connection.settimeout(2)
        connection.sendall(REQUEST)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.sendall(LAST)
        assert received(connection).startswith(b"HTTP/1.1 200")


def test_a_connection_on_which_nothing_comes_is_closed_without_a_word(tmp_path: Path) -> None:
    with (
        one_worker(tmp_path, FLEETCAST_IDLE_SECONDS="2") as server,
        server.connect() as resting,
        server.connect() as silent,
    ):
        resting.sendall(REQUEST)
        assert resting.recv(65_536).startswith(b"HTTP/1.1 200")

        assert (received(silent), received(resting)) == (b"", b"")


def test_a_refusal_is_never_taken_for_the_answer_to_an_earlier_request(server: Server) -> None:
    """Without an answer a client knows that it has none; with a wrong one it does not."""
    long = b'{"period": 8784}'
    first = b"POST /models/m/invoke HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (len(long), long)

    answers = exchanged(server, first + b"GET /ping SMTP/1.0\r\n\r\n")

    assert answers == b"" or answers.startswith(b"HTTP/1.1 200")


def test_many_half_requests_keep_nobody_waiting(impatient: Server) -> None:
    half = [impatient.connect() for _ in range(300)]
    for number, connection in enumerate(half):
        connection.sendall(REQUEST[: 1 + number % (len(REQUEST) - 1)])

    wait_until(lambda: is_answered(impatient), "an answer")
    assert all(received(connection).startswith(b"HTTP/1.1 408") for connection in half)
    for connection in half:
        connection.close()


def test_a_client_that_hangs_up_in_the_middle_is_forgotten(server: Server) -> None:
    for end in range(1, len(REQUEST), 7):
        with server.connect() as connection:
            connection.sendall(REQUEST[:end])


def test_a_client_that_resets_its_connection_is_forgotten(server: Server) -> None:
    for _ in range(20):
        connection = server.connect()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.sendall(REQUEST)
        connection.close()


def test_a_client_that_reads_nothing_delays_nobody(server: Server) -> None:
    long = b'{"period": 8784}'
    greedy = b"POST /models/m/invoke HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (len(long), long)
    with server.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(greedy * 50)
        began = time.monotonic()
        for _ in range(20):
            assert server.anew("POST", "/models/m/invoke", {"period": 1}).status_code == 200
        # Well before the greedy client is given up.
        assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    "head",
    [b"x-large: " + b"y" * 33_000, b"".join(b"x-%d: y\r\n" % i for i in range(5000))[:-2]],
    ids=["one large", "many"],
)
def test_oversized_headers_are_refused(server: Server, head: bytes) -> None:
    status, problem = parsed(exchanged(server, b"GET /ping HTTP/1.1\r\nhost: x\r\n" + head))

    assert (status, problem["code"]) == (431, "HeadersTooLarge")
    assert "16384 bytes" in str(problem["message"])


def test_an_endless_line_is_refused(server: Server) -> None:
    """Whoever is still sending when he is told may not hear it, so it takes more than one try now and then."""
    wait_until(lambda: answer_to_endless_line(server).startswith(b"HTTP/1.1 431"), "the refusal")


def answer_to_endless_line(server: Server) -> bytes:
    with server.connect() as connection:
        connection.sendall(b"GET /")
        try:
            for _ in range(1000):
                if select.select([connection], [], [], 0.01)[0]:
                    break
                connection.sendall(b"x" * 1000)
            return connection.recv(65_536)
        except ConnectionError:
            return b""


def test_headers_of_a_size_that_is_allowed_are_read(server: Server) -> None:
    answer = exchanged(server, HEAD + b"connection: close\r\nx-large: " + b"y" * 15_000 + b"\r\n\r\n" + BODY)

    assert answer.startswith(b"HTTP/1.1 200")


def test_pipelined_requests_are_answered_in_their_order(server: Server) -> None:
    bodies = [b'{"period": %d}' % period for period in (1, 300, 2, 4000, 0, 3)]
    head = b"POST /models/m/invoke HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n%s\r\n%s"
    sent = b"".join(head % (len(body), b"", body) for body in bodies[:-1])
    sent += head % (len(bodies[-1]), b"connection: close\r\n", bodies[-1])

    answers = exchanged(server, sent).split(b"HTTP/1.1 ")[1:]

    assert [answer[:3] for answer in answers] == [b"200", b"200", b"200", b"200", b"400", b"200"]
    lengths = [answer.count(b'"yhat"') for answer in answers]
    assert lengths == [1, 300, 2, 4000, 0, 3]


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_it_does_not_matter_how_a_request_is_cut_into_packets(server: Server, size: int) -> None:
    with server.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for begin in range(0, len(LAST), size):
            connection.sendall(LAST[begin : begin + size])
        answer = received(connection)

    assert answer.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /ping SMTP/1.0\r\n\r\n",
        b"POST /models HTTP/1.1\r\nhost: x\r\ncontent-length: abc\r\n\r\n",
        b"POST /models HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
        b"POST /models HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"GET /ping HTTP/1.1\r\nbad header\r\n\r\n",
    ],
    ids=["TLS", "another protocol", "no length", "two lengths", "a broken chunk", "no header"],
)
def test_what_is_not_http_is_refused_as_json(server: Server, sent: bytes) -> None:
    status, problem = parsed(exchanged(server, sent))

    assert (status, problem["code"]) == (400, "InvalidRequest")
    assert str(problem["message"]).startswith("this is not HTTP: ")


def test_an_offer_to_change_the_protocol_is_declined_by_an_answer(server: Server) -> None:
    offer = b"connection: upgrade\r\nupgrade: h2c\r\n\r\n"

    without_body = exchanged(server, b"GET /models/m HTTP/1.1\r\nhost: x\r\n" + offer + LAST)
    with_body = exchanged(server, HEAD + offer + BODY + LAST)

    assert without_body.count(b"HTTP/1.1 200") == 2
    assert with_body.count(b"HTTP/1.1 200") == with_body.count(b'"forecast"') == 2


def test_a_client_may_wait_for_permission_to_send_its_body(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(HEAD + b"expect: 100-continue\r\nconnection: close\r\n\r\n")
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(BODY)
        assert received(connection).startswith(b"HTTP/1.1 200")


def test_a_head_is_answered_without_a_body(server: Server) -> None:
    answers = exchanged(server, b"HEAD /ping HTTP/1.1\r\nhost: x\r\n\r\n" + LAST)

    first, _, rest = answers.partition(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 405")
    assert rest.startswith(b"HTTP/1.1 200")


def test_a_chunked_body_is_read(server: Server) -> None:
    head = b"POST /models/m/invoke HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"

    answer = exchanged(server, head + b'5\r\n{"per\r\n8\r\niod": 3}\r\n0\r\n\r\n')

    assert answer.startswith(b"HTTP/1.1 200")


def test_an_old_client_is_answered_and_its_connection_closed(server: Server) -> None:
    answer = exchanged(server, b"GET /ping HTTP/1.0\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_body_that_nobody_asked_for_does_no_harm(server: Server) -> None:
    sent = b"GET /ping HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello" + LAST

    answers = exchanged(server, sent).split(b"HTTP/1.1 ")[1:]

    assert [answer[:3] for answer in answers] == [b"200", b"200"]


@pytest.mark.parametrize(
    "path",
    ["/models/%ff/invoke", "/models/%c3%28/invoke"],
)
def test_a_name_that_is_not_utf8_is_refused(server: Server, path: str) -> None:
    answer = server.anew("POST", path, {"period": 1})

    assert answer.status_code == 400
    assert answer.json()["message"] == "the path is not UTF-8"


@pytest.mark.parametrize(
    "path", ["/models//invoke", "/models/a/b/invoke", "/models/invoke", "//models/m/invoke"]
)
def test_a_path_that_only_looks_like_an_invocation_is_none(server: Server, path: str) -> None:
    assert server.anew("POST", path, {"period": 1}).status_code in {404, 405}
