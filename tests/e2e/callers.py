"""Several callers of the API at a time, each of whom waits for its answer before it asks again."""

import http.client
import json
import random
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from tests.e2e.product import Product

from fleetcast_local import lifecycle


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
            and self.body["customer_id"] == self.customer
            and len(self.body["forecast"]) == 7
        )


class Callers:
    """Asks for the forecasts of random customers until so many were asked for."""

    def __init__(self, product: Product, customers: Sequence[str], requests: int, callers: int = 6) -> None:
        self.answers: list[Answered] = []
        self._address = product.address
        self._url = lifecycle.api_url(self._address, product.outputs["ApiId"], "v1")
        self._customers = customers
        self._left: Iterator[int] = iter(range(requests))
        self._lock = threading.Lock()
        self._random = random.Random(4)
        self._errors: list[BaseException] = []
        self._threads = [threading.Thread(target=self._run) for _ in range(callers)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def wait(self) -> None:
        """Wait until the last answer is there; raise what went wrong with a connection."""
        for thread in self._threads:
            thread.join()
        if self._errors:
            raise self._errors[0]

    def stop(self) -> None:
        """Ask for nothing more, and wait as above."""
        self._left = iter(())
        self.wait()

    def _run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._address.port, timeout=40)
        try:
            while (customer := self._next()) is not None:
                self.answers.append(self._ask(connection, customer))
        except (OSError, http.client.HTTPException) as error:
            self._errors.append(error)
        finally:
            connection.close()

    def _next(self) -> str | None:
        with self._lock:
            return None if next(self._left, None) is None else self._random.choice(self._customers)

    def _ask(self, connection: http.client.HTTPConnection, customer: str) -> Answered:
        url = f"{self._url}/customers/{quote(customer, safe='')}/forecasts"
        request = AWSRequest("POST", url, data=b'{"period": 7}', headers={"Content-Type": "application/json"})
        SigV4Auth(Credentials(self._address.account, "local"), "execute-api", self._address.region).add_auth(
            request
        )
        connection.request("POST", urlsplit(url).path, request.data, dict(request.headers))
        response = connection.getresponse()
        return Answered(customer, response.status, json.loads(response.read()))
