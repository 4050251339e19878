"""What a local run costs before any model is fitted: start, deploy, run with ten customers, serve, stop."""

from typing import Any

from benchmarks.product import Product, copied_product
from benchmarks.record import record, versions_of


def main() -> None:
    with copied_product() as product:
        for command in (
            ["up"],
            ["deploy"],
            ["synth", "data", "--customers", "10", "--days", "365"],
            ["ingest", "data"],
        ):
            product.run(*command)
        product.run("retrain", "--wait")
        states = seconds_by_state(product)
        first, warm = forecast_seconds(product), forecast_seconds(product)
        product.run("down")
    seconds = product.seconds
    figures = {
        "start of the cloud": seconds["up"],
        "sam build and sam deploy": seconds["deploy"],
        "first run, ten customers": seconds["retrain"],
        **{f"— {name}": value for name, value in states.items()},
        "first forecast, cold function and model": first,
        "next forecast, a new client each": warm,
        "stop of the cloud": seconds["down"],
    }
    record(
        "overhead",
        {name: {"seconds": value} for name, value in figures.items()},
        versions_of("ministack", "moto"),
    )


def forecast_seconds(product: Product) -> float:
    product.run("forecast", "1", "--period", "7", "--json")
    return product.seconds["forecast"]


def seconds_by_state(product: Product) -> dict[str, float]:
    """How long the run spent in each state that took a tenth of a second or more."""
    execution = product.read("runs")[0]["execution_arn"]
    events = product.client("stepfunctions").get_execution_history(executionArn=execution, maxResults=1000)[
        "events"
    ]
    return {name: value for name, value in _durations(events).items() if value >= 0.1}


def _durations(events: list[dict[str, Any]]) -> dict[str, float]:
    entered: dict[str, float] = {}
    spent: dict[str, float] = {}
    for event in events:
        moment = event["timestamp"].timestamp()
        if "stateEnteredEventDetails" in event:
            entered[event["stateEnteredEventDetails"]["name"]] = moment
        elif "stateExitedEventDetails" in event:
            name = event["stateExitedEventDetails"]["name"]
            spent[name] = round(spent.get(name, 0) + moment - entered.get(name, moment), 2)
    return spent


if __name__ == "__main__":
    main()
