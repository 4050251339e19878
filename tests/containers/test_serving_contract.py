"""SageMaker's multi-model container contract, over HTTP against the real process."""

import concurrent.futures
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.containers.serving_support import RUN_ID, Server, lay_out, naive_model, serving

BUDGET = 40_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module", params=["1", "3"], ids=["one worker", "three workers"])
def process(folder: Path, request: pytest.FixtureRequest) -> Iterator[Server]:
    settings = {
        "FLEETCAST_MODEL_BUDGET_BYTES": str(BUDGET),
        "SAGEMAKER_MULTI_MODEL": "true",
        "FLEETCAST_SERVING_WORKERS": request.param,
    }
    with serving(folder, **settings) as server:
        yield server


@pytest.fixture
def server(process: Server) -> Server:
    process.unload_everything()
    return process


@pytest.fixture(scope="module")
def url(folder: Path) -> str:
    return lay_out(folder, "meter-7")


def code_of(response: httpx.Response) -> str:
    problem = response.json()
    assert set(problem) == {"code", "message", "field"}
    return str(problem["code"])


def test_ping_is_healthy_with_no_model_loaded(server: Server) -> None:
    server.wait()
    answer = server.client.get("/ping")

    assert (answer.status_code, answer.content) == (200, b"")


def test_what_is_loaded_through_any_connection_is_loaded_for_all(server: Server, url: str) -> None:
    """Each new connection may lead to another worker, and none of them may know better than the others."""
    server.load("meter-7", url)

    entry = {"modelName": "meter-7", "modelUrl": url}
    for _ in range(20):
        assert server.anew("POST", "/models/meter-7/invoke", {"period": 1}).status_code == 200
        assert server.anew("GET", "/models").json() == {"models": [entry]}
        assert server.anew("POST", "/models", {"model_name": "meter-7", "url": url}).status_code == 409
    assert server.anew("DELETE", "/models/meter-7").status_code == 200
    for _ in range(20):
        assert server.anew("POST", "/models/meter-7/invoke", {"period": 1}).status_code == 404
        assert server.anew("GET", "/models/meter-7").status_code == 404
        assert server.anew("GET", "/models").json() == {"models": []}


def test_a_model_that_replaces_another_of_its_name_answers_for_all(
    server: Server, url: str, folder: Path
) -> None:
    other = str(folder / "other" / "model")
    if not Path(other).exists():
        lay_out(folder, "other", naive_model("other-customer"))
    for where, customer in ((url, "meter-7"), (other, "other-customer"), (url, "meter-7")):
        assert server.anew("POST", "/models", {"model_name": "m", "url": where}).status_code == 200
        for _ in range(8):
            answer = server.anew("POST", "/models/m/invoke", {"period": 1})
            assert answer.json()["customer_id"] == customer
        assert server.anew("DELETE", "/models/m").status_code == 200


def test_a_loaded_model_is_listed_described_and_answers(server: Server, url: str) -> None:
    loaded = server.load("meter-7", url)

    entry = {"modelName": "meter-7", "modelUrl": url}
    assert (loaded.status_code, loaded.json()) == (200, entry)
    assert server.client.get("/models").json() == {"models": [entry]}
    assert server.client.get("/models/meter-7").json() == entry
    assert server.invoke("meter-7", {"period": 1}).status_code == 200


def test_the_answer_is_the_forecast_of_that_customer(server: Server, url: str) -> None:
    server.load("meter-7", url)

    answer = server.invoke("meter-7", {"period": 8}).json()

    rows = answer.pop("forecast")
    assert answer == {
        "customer_id": "meter-7",
        "run_id": RUN_ID,
        "family": "seasonal_naive",
        "frequency": "daily",
        "training_end": "2024-12-31T00:00:00Z",
        "trained_at": "2025-01-01T00:00:00Z",
        "interval": 0.8,
    }
    assert [row["yhat"] for row in rows] == [1, 2, 3, 4, 5, 6, 7, 1]
    assert rows[0]["timestamp"] == "2025-01-01T00:00:00Z"
    assert all(row["yhat_lower"] < row["yhat"] < row["yhat_upper"] for row in rows)


def test_the_longest_period_is_answered(server: Server, url: str) -> None:
    server.load("meter-7", url)

    assert len(server.invoke("meter-7", {"period": 8784}).json()["forecast"]) == 8784


def test_loading_twice_is_a_conflict(server: Server, url: str) -> None:
    server.load("meter-7", url)

    again = server.load("meter-7", url)

    assert (again.status_code, code_of(again)) == (409, "ModelAlreadyLoaded")


def test_of_many_loads_at_once_one_succeeds(server: Server, url: str) -> None:
    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda _: server.load("meter-7", url).status_code, range(32)))

    assert sorted(answers) == [200] + 31 * [409]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/models/absent"), ("DELETE", "/models/absent"), ("POST", "/models/absent/invoke")],
)
def test_a_model_that_is_not_loaded_is_not_found(server: Server, method: str, path: str) -> None:
    answer = server.client.request(method, path, json={"period": 1} if method == "POST" else None)

    assert (answer.status_code, code_of(answer)) == (404, "ModelNotLoaded")


def test_an_unloaded_model_is_gone_and_can_come_back(server: Server, url: str) -> None:
    server.load("meter-7", url)

    assert server.client.delete("/models/meter-7").status_code == 200
    assert server.invoke("meter-7", {"period": 1}).status_code == 404
    assert server.client.delete("/models/meter-7").status_code == 404
    assert server.load("meter-7", url).status_code == 200


def test_a_model_beyond_the_budget_is_refused_until_another_goes(server: Server, url: str) -> None:
    loaded = 0
    while (answer := server.load(f"m{loaded}", url)).status_code == 200:
        loaded += 1
        assert loaded < 100

    assert (answer.status_code, code_of(answer)) == (507, "OutOfMemory")
    assert f"of {BUDGET} are used; {loaded} models are loaded" in answer.json()["message"]
    assert server.invoke("m0", {"period": 1}).status_code == 200, "nothing was unloaded by itself"
    server.client.delete("/models/m1")
    assert server.load("another", url).status_code == 200


def test_a_name_may_hold_any_text(server: Server, url: str) -> None:
    name = "a/b?c=d é%2F"
    assert server.load(name, url).json()["modelName"] == name

    path = "/models/a%2Fb%3Fc%3Dd%20%C3%A9%252F"
    assert server.client.get(path).json()["modelName"] == name
    assert server.client.post(f"{path}/invoke", json={"period": 1}).status_code == 200
    assert server.client.delete(path).status_code == 200


def test_lists_are_sorted_and_paged(server: Server, url: str) -> None:
    names = [f"m{i}" for i in range(9)]
    for name in reversed(names):
        assert server.load(name, url).status_code == 200

    found, pages, query = [], 0, {"limit": "4"}
    while True:
        page = server.client.get("/models", params=query).json()
        found += [model["modelName"] for model in page["models"]]
        pages += 1
        if "nextPageToken" not in page:
            break
        query["next_page_token"] = page["nextPageToken"]

    assert (found, pages) == (names, 3)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=-1", "limit"),
        ("limit=x", "limit"),
        ("limit=", "limit"),
        ("next_page_token=***", "next_page_token"),
        ("next_page_token=_w%3D%3D", "next_page_token"),
    ],
)
def test_a_wrong_page_is_refused_by_field(server: Server, query: str, field: str) -> None:
    answer = server.client.get(f"/models?{query}")

    assert answer.status_code == 400
    assert answer.json()["field"] == field


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "model_name"),
        ({"model_name": ""}, "model_name"),
        ({"model_name": 7}, "model_name"),
        ({"model_name": "\ud800"}, "model_name"),
        ({"model_name": "x" * 1025}, "model_name"),
        ({"model_name": "x"}, "url"),
        ({"model_name": "x", "url": "a\0b"}, "url"),
    ],
)
def test_a_wrong_load_is_refused_by_field(server: Server, body: dict[str, Any], field: str) -> None:
    answer = server.client.post("/models", content=json.dumps(body))

    assert answer.status_code == 400
    assert answer.json()["field"] == field


def test_a_folder_without_a_model_cannot_be_loaded(server: Server, folder: Path) -> None:
    answer = server.load("empty", str(folder / "nowhere"))

    assert (answer.status_code, code_of(answer)) == (422, "ModelLoadFailed")
    assert "there is no model.json in" in answer.json()["message"]
    assert server.client.get("/models").json() == {"models": []}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "period must be a whole number from 1 to 8784, not null"),
        ({"period": 0}, "period must be a whole number from 1 to 8784, not 0"),
        ({"period": -1}, "period must be a whole number from 1 to 8784, not -1"),
        ({"period": 1.5}, "period must be a whole number from 1 to 8784, not 1.5"),
        ({"period": 7.0}, "period must be a whole number from 1 to 8784, not 7.0"),
        ({"period": "7"}, 'period must be a whole number from 1 to 8784, not "7"'),
        ({"period": True}, "period must be a whole number from 1 to 8784, not true"),
        ({"period": None}, "period must be a whole number from 1 to 8784, not null"),
        ({"period": [7]}, "period must be a whole number from 1 to 8784, not a list"),
        ({"period": 8785}, "period must be a whole number from 1 to 8784, not 8785"),
        ({"period": 10**9}, "period must be a whole number from 1 to 8784, not 1000000000"),
    ],
)
def test_a_wrong_period_is_refused(server: Server, url: str, document: dict[str, Any], message: str) -> None:
    server.load("meter-7", url)

    answer = server.invoke("meter-7", document)

    assert answer.status_code == 400
    assert answer.json() == {"code": "InvalidRequest", "message": message, "field": "period"}


def test_a_field_that_means_nothing_is_refused_by_name(server: Server, url: str) -> None:
    server.load("meter-7", url)

    answer = server.invoke("meter-7", {"period": 7, "perid": 8})

    assert answer.status_code == 400
    assert answer.json()["field"] == "perid"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body must be JSON such as"),
        (b"{", "the body must be JSON such as"),
        (b"[7]", 'the body must be a JSON object such as {"period": 7}'),
        (b"7", 'the body must be a JSON object such as {"period": 7}'),
        (b'{"period": 7\xff}', "the body is not UTF-8: byte 12 is not"),
        ('{"period": 7}'.encode("utf-16"), "the body is not UTF-8"),
        (b"[" * 50_000, "the body must be JSON such as"),
        (b'{"period": ' + b"9" * 10_000 + b"}", "the body must be JSON such as"),
    ],
    ids=["empty", "cut off", "list", "number", "latin-1", "utf-16", "deep", "long number"],
)
def test_a_body_that_is_not_a_json_object_is_refused(
    server: Server, url: str, body: bytes, message: str
) -> None:
    server.load("meter-7", url)

    answer = server.client.post("/models/meter-7/invoke", content=body)

    assert (answer.status_code, code_of(answer)) == (400, "InvalidRequest")
    assert answer.json()["message"].startswith(message)


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("Application/JSON", 200),
        ("text/csv", 415),
        ("application/json; charset=latin-1", 415),
    ],
)
def test_only_json_is_read(server: Server, url: str, content_type: str, status: int) -> None:
    server.load("meter-7", url)

    answer = server.client.post(
        "/models/meter-7/invoke", content=b'{"period": 1}', headers={"content-type": content_type}
    )

    assert answer.status_code == status


@pytest.mark.parametrize("chunked", [False, True])
def test_a_huge_body_is_refused(server: Server, url: str, chunked: bool) -> None:  # noqa: FBT001
    server.load("meter-7", url)
    huge = b" " * (5 * 2**20 + 1)
    chunks = (huge[i : i + 2**16] for i in range(0, len(huge), 2**16))

    answer = server.client.post("/models/meter-7/invoke", content=chunks if chunked else huge)

    assert (answer.status_code, code_of(answer)) == (413, "BodyTooLarge")
    server.wait()


def test_custom_attributes_are_echoed_with_answers_and_refusals(server: Server, url: str) -> None:
    server.load("meter-7", url)
    headers = {"X-Amzn-SageMaker-Custom-Attributes": "trace=42"}

    for document in ({"period": 1}, {"period": 0}):
        answer = server.client.post("/models/meter-7/invoke", json=document, headers=headers)
        assert answer.headers["x-amzn-sagemaker-custom-attributes"] == "trace=42"


@pytest.mark.parametrize(
    ("method", "path", "status", "allowed"),
    [
        ("POST", "/ping", 405, "GET"),
        ("PUT", "/models", 405, "GET, POST"),
        ("POST", "/models/x", 405, "DELETE, GET"),
        ("GET", "/models/x/invoke", 405, "POST"),
        ("GET", "/", 404, None),
        ("POST", "/invocations", 404, None),
        ("GET", "/models/x/y/z", 404, None),
        ("GET", "/models/%ff", 400, None),
    ],
)
def test_paths_and_methods_outside_the_contract(
    server: Server, method: str, path: str, status: int, allowed: str | None
) -> None:
    answer = server.client.request(method, path)

    assert answer.status_code == status
    assert code_of(answer) in {"MethodNotAllowed", "NotFound", "InvalidRequest"}
    assert answer.headers.get("allow") == allowed


def test_many_customers_are_served_at_once(server: Server, url: str) -> None:
    for i in range(8):
        server.load(f"m{i}", url)

    def invoke(number: int) -> int:
        period = 1 + number % 300
        answer = server.invoke(f"m{number % 8}", {"period": period})
        return int(len(answer.json()["forecast"]) == period)

    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        assert sum(threads.map(invoke, range(200))) == 200
