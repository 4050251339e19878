"""Several callers of the API at a time, each of whom waits for its answer before it asks again."""

import http.client
import json
import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote, urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from tests.contract.lab import wait_until
from tests.e2e.product import Product

from fleetcast_local import lifecycle

# Ten thousand requests on two busy cores take minutes, and nobody minds.
_PATIENCE = 900


@dataclass(frozen=True)
class Answered:
    """Who was asked for, and what came back."""

    customer: str
    status: int
    body: dict[str, Any]

    @property
    def is_right(self) -> bool:
        return (
            self.status == 200
            and self.body.get("customer_id") == self.customer
            and len(self.body.get("forecast", ())) == 7
        )


class Callers:
    """Asks for the forecasts of random customers for as long as the `with` lasts."""

    def __init__(self, product: Product, customers: Sequence[str], callers: int = 6) -> None:
        self.answers: list[Answered] = []
        self._address = product.address
        self._url = lifecycle.api_url(self._address, product.outputs["ApiId"], "v1")
        self._customers = customers
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._random = random.Random(4)
        self._errors: list[BaseException] = []
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(callers)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join(_PATIENCE)
        if kind is None:
            self.check()

    def wait_for(self, requests: int) -> None:
        """Wait until so many were answered; raise what went wrong with a caller."""
        wait_until(lambda: self.check() or len(self.answers) >= requests, _PATIENCE)

    def check(self) -> bool:
        """Raise what went wrong with a caller, if anything did; else return False, so that a wait can look first."""
        if self._errors:
            raise self._errors[0]
        return False

    def _run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._address.port, timeout=40)
        try:
            while not self._done.is_set():
                self.answers.append(self._ask(connection, self._next()))
        except Exception as error:  # noqa: BLE001 - whatever ends a caller is the test's to see
            self._errors.append(error)
        finally:
            connection.close()

    def _next(self) -> str:
        with self._lock:
            return self._random.choice(self._customers)

    def _ask(self, connection: http.client.HTTPConnection, customer: str) -> Answered:
        url = f"{self._url}/customers/{quote(customer, safe='')}/forecasts"
        request = AWSRequest("POST", url, data=b'{"period": 7}', headers={"Content-Type": "application/json"})
        SigV4Auth(Credentials(self._address.account, "local"), "execute-api", self._address.region).add_auth(
            request
        )
        connection.request("POST", urlsplit(url).path, request.data, dict(request.headers))
        response = connection.getresponse()
        return Answered(customer, response.status, json.loads(response.read()))
