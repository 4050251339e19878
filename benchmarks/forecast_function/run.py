"""The forecast function's own time: what a request spends outside the endpoint call."""

import importlib.util
import json
import os
import random
import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

from benchmarks.product import Product, copied_product
from benchmarks.record import ROOT, record, versions_of

from fleetcast_local import lifecycle

CUSTOMERS, REQUESTS, WARM_UP = 20, 2_000, 50


class Context:
    function_name, memory_limit_in_mb = "forecast_customer", 1024
    invoked_function_arn, aws_request_id = (
        "arn:aws:lambda:us-east-1:000000000000:function:forecast",
        "benchmark",
    )


def main() -> None:
    with copied_product() as product:
        arguments = ["--customers", str(CUSTOMERS), "--days", "365"]
        for command in (
            ["up"],
            ["deploy"],
            ["synth", "data", *arguments],
            ["ingest", "data"],
            ["retrain", "--wait"],
        ):
            product.run(*command)
        figures = {
            "pointer remembered": measure(load_handler(product, cache_seconds=3600)),
            "pointer looked up": measure(load_handler(product, cache_seconds=0)),
        }
    record("forecast_function", figures, versions_of("aws-lambda-powertools", "boto3"))


def load_handler(product: Product, cache_seconds: int) -> ModuleType:
    """Import the function as Lambda does, with its environment pointing to the product's cloud."""
    address = lifecycle.status(product.project).address
    if address is None:
        raise SystemExit("the local cloud is gone")
    stack = product.stack_outputs()
    os.environ.update(
        lifecycle.environment(address),
        ENDPOINT_NAME=stack["EndpointName"],
        POINTER_TABLE=stack["PointerTableName"],
        POINTER_CACHE_SECONDS=str(cache_seconds),
        POWERTOOLS_TRACE_DISABLED="true",
        POWERTOOLS_LOG_LEVEL="WARNING",
        POWERTOOLS_METRICS_NAMESPACE="Fleetcast",
        POWERTOOLS_SERVICE_NAME="fleetcast",
    )
    source = ROOT / "functions" / "forecast_customer" / "handler.py"
    spec = importlib.util.spec_from_file_location("forecast_handler", source)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{source} is not a module")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def measure(handler: ModuleType) -> dict[str, float]:
    """Send requests for random customers; every request's endpoint call is timed apart."""
    timed = Timed(handler.invoke)
    handler.invoke = timed
    whole, own = [], []
    with open(os.devnull, "w") as devnull:  # noqa: PTH123  # the metrics that the function prints
        sys.stdout, shown = devnull, sys.stdout
        for _ in range(WARM_UP + REQUESTS):
            started = time.perf_counter()
            answer = handler.lambda_handler(request(random.randrange(CUSTOMERS)), Context())
            spent = time.perf_counter() - started
            if answer["statusCode"] != 200:
                raise SystemExit(f"the function answered {answer}")
            whole.append(spent)
            own.append(spent - timed.last)
        sys.stdout = shown
    whole, own = sorted(whole[WARM_UP:]), sorted(own[WARM_UP:])
    return {
        "own p50 ms": milliseconds(own, 0.5),
        "own p99 ms": milliseconds(own, 0.99),
        "with endpoint p50 ms": milliseconds(whole, 0.5),
        "with endpoint p99 ms": milliseconds(whole, 0.99),
    }


class Timed:
    """Calls through, and keeps how long the last call took."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function, self.last = function, 0.0

    def __call__(self, *arguments: Any) -> Any:
        started = time.perf_counter()
        try:
            return self._function(*arguments)
        finally:
            self.last = time.perf_counter() - started


def request(customer: int) -> dict[str, Any]:
    return {
        "pathParameters": {"customer_id": str(customer)},
        "headers": {"Content-Type": "application/json"},
        "body": json.dumps({"period": 7}),
    }


def milliseconds(ordered: list[float], quantile: float) -> float:
    return round(ordered[int(quantile * (len(ordered) - 1))] * 1000, 3)


if __name__ == "__main__":
    main()
