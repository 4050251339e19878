"""Clients that are slow, silent, greedy, confused or hostile cost their own connection, and nobody else's."""

import json
import socket
from collections.abc import Iterator

import pytest
from tests.containers.serving_support import Server, lay_out, received, serving

BODY = b'{"period": 3}'
HEAD = b"POST /models/m/invoke HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n" % len(BODY)
REQUEST = HEAD + b"\r\n" + BODY
LAST = HEAD + b"connection: close\r\n\r\n" + BODY


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("models")
    settings = {
        "SAGEMAKER_MULTI_MODEL": "true",
        "FLEETCAST_SERVING_WORKERS": "1",
        "FLEETCAST_READ_SECONDS": "1",
        "FLEETCAST_IDLE_SECONDS": "3",
    }
    with serving(folder, **settings) as server:
        assert server.load("m", lay_out(folder, "m")).status_code == 200
        yield server


@pytest.fixture
def server(process: Server) -> Iterator[Server]:
    yield process
    assert process.invoke("m", {"period": 1}).status_code == 200, "the container goes on"
    assert "Traceback" not in process.log()


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
def test_a_request_that_does_not_arrive_in_time_is_refused(server: Server, sent: bytes) -> None:
    status, problem = parsed(exchanged(server, sent))

    assert (status, problem["code"]) == (408, "RequestTimeout")
    assert problem["message"] == "the request did not arrive within 1 s"


def test_a_client_that_sends_a_byte_now_and_then_has_no_more_time_than_others(server: Server) -> None:
    with server.connect() as connection:
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


def test_a_connection_is_not_closed_between_two_requests(server: Server) -> None:
    """The time to read counts from a request's first byte, and a connection may rest for longer."""
    with server.connect() as connection:
        connection.settimeout(2)
        connection.sendall(REQUEST)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.sendall(LAST)
        assert received(connection).startswith(b"HTTP/1.1 200")


def test_a_connection_on_which_nothing_comes_is_closed_without_a_word(server: Server) -> None:
    with server.connect() as silent, server.connect() as resting:
        resting.sendall(REQUEST)
        assert resting.recv(65_536).startswith(b"HTTP/1.1 200")

        assert (received(silent), received(resting)) == (b"", b"")


def test_a_refusal_is_never_taken_for_the_answer_to_an_earlier_request(server: Server) -> None:
    """Without an answer a client knows that it has none; with a wrong one it does not."""
    long = b'{"period": 8784}'
    first = b"POST /models/m/invoke HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (len(long), long)

    answers = exchanged(server, first + b"GET /ping SMTP/1.0\r\n\r\n")

    assert answers == b"" or answers.startswith(b"HTTP/1.1 200")


def test_many_half_requests_keep_nobody_waiting(server: Server) -> None:
    half = [server.connect() for _ in range(300)]
    for number, connection in enumerate(half):
        connection.sendall(REQUEST[: 1 + number % (len(REQUEST) - 1)])

    assert server.invoke("m", {"period": 1}).status_code == 200
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
        for _ in range(20):
            assert server.anew("POST", "/models/m/invoke", {"period": 1}).status_code == 200


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
    with server.connect() as connection:
        connection.sendall(b"GET /")
        answer = b""
        for _ in range(1000):
            try:
                connection.sendall(b"x" * 1000)
            except OSError:
                break
        try:
            answer = connection.recv(65_536)
        except ConnectionResetError:
            # It went on sending after it was told; what matters is that nobody kept it.
            answer = b"HTTP/1.1 431"

    assert answer.startswith(b"HTTP/1.1 431")


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
