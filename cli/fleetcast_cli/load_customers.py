"""Of whom a load test asks: the customers that a fleet really serves."""

import json
import random
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlencode

from fleetcast_cli.errors import CommandFailed
from fleetcast_cli.session import Cloud

_TIMEOUT_SECONDS = 30
# A container is never behind a proxy.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def customers_with_a_model(cloud: Cloud, most: int) -> list[str]:
    """Return customers of the pointer table, drawn at random where there are more.

    Raises:
        CommandFailed: no customer has a model.
    """
    drawn = _draw(_pointers(cloud), most)
    if not drawn:
        raise CommandFailed("no customer has a model yet: run fleetcast retrain --wait")
    return drawn


def loaded_models(url: str, most: int) -> list[str] | None:
    """Return names of the models that a container has loaded, None where it is no multi-model container.

    Raises:
        CommandFailed: the container does not answer, or has no model.
    """
    try:
        drawn = _draw(_listed(url), most)
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise CommandFailed(f"{url}/models answered {error.code} {error.reason}") from error
    except (OSError, ValueError, KeyError) as error:
        raise CommandFailed(f"{url} does not answer as a serving container: {error}") from error
    if not drawn:
        raise CommandFailed(f"the container at {url} has no model loaded: load some by POST {url}/models")
    return drawn


def _pointers(cloud: Cloud) -> Iterator[str]:
    pages = cloud.client("dynamodb").get_paginator("scan")
    for page in pages.paginate(
        TableName=cloud.outputs.pointer_table,
        ProjectionExpression="customer_id",
        FilterExpression="attribute_exists(champion)",
    ):
        yield from (item["customer_id"]["S"] for item in page["Items"])


def _listed(url: str) -> Iterator[str]:
    token: str | None = None
    while True:
        query = f"?{urlencode({'next_page_token': token})}" if token else ""
        with _OPENER.open(f"{url}/models{query}", timeout=_TIMEOUT_SECONDS) as answer:
            page: dict[str, Any] = json.load(answer)
        yield from (model["modelName"] for model in page["models"])
        token = page.get("nextPageToken")
        if not token:
            return


def _draw(names: Iterable[str], most: int) -> list[str]:
    """Draw at most so many, each with the same chance, without keeping the others."""
    drawn: list[str] = []
    for seen, name in enumerate(names):
        if len(drawn) < most:
            drawn.append(name)
        elif (place := random.randrange(seen + 1)) < most:  # noqa: S311 - no secret depends on it
            drawn[place] = name
    return drawn
