"""Whom a load test asks: the deployed API as any application does, or a container by its contract."""

import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import SplitResult, quote, urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import NoCredentialsError

from fleetcast_cli.api import encode_customer
from fleetcast_cli.errors import UsageMistake
from fleetcast_cli.session import Cloud

# AWS takes a signature for five minutes, so one serves many requests of the same customer.
_SIGNED_FOR_SECONDS = 120.0


@dataclass(frozen=True)
class Question:
    """A request, ready to be sent.

    Attributes:
        customer: of whom it asks; empty where the server holds one model only.
        message: all its bytes, as HTTP/1.1.
        named: whether the answer must name the customer.
    """

    customer: str
    message: bytes
    period: int
    named: bool

    def find_fault(self, body: bytes) -> str | None:
        """Return what is wrong with the body of a 200, None if it is what was asked for."""
        try:
            document = json.loads(body)
            steps, customer = len(document["forecast"]), document["customer_id"]
        except (ValueError, KeyError, TypeError):
            return "the answer is no forecast"
        if steps != self.period:
            return f"{steps} steps instead of {self.period}"
        return f"the forecast of customer {customer!r}" if self.named and customer != self.customer else None


class Target(Protocol):
    """Whoever answers forecast requests."""

    @property
    def address(self) -> "Address": ...

    def draw(self) -> Question: ...


@dataclass(frozen=True)
class Address:
    """Where a target listens."""

    host: str
    port: int
    tls: bool

    @classmethod
    def of(cls, url: str) -> "Address":
        """Take it from a URL.

        Raises:
            UsageMistake: the text is not a URL of HTTP.
        """
        parts = _split(url)
        tls = parts.scheme == "https"
        return cls(parts.hostname or "", parts.port or (443 if tls else 80), tls)


class ApiTarget:
    """The API of a stack, with signed requests."""

    def __init__(self, cloud: Cloud, customers: Sequence[str], period: int) -> None:
        self._url, self._period = cloud.api_url.rstrip("/"), period
        self._customers = customers
        self._credentials = cloud.session.get_credentials()
        if self._credentials is None:
            raise NoCredentialsError
        self._region = cloud.session.region_name or cloud.settings.region
        self._signed: dict[str, tuple[float, Question]] = {}
        self.address = Address.of(self._url)

    def draw(self) -> Question:
        customer = random.choice(self._customers)  # noqa: S311 - no secret depends on it
        until, question = self._signed.get(customer, (0.0, None))
        if question is None or until < time.monotonic():
            question = Question(customer, self._sign(customer), self._period, named=True)
            self._signed[customer] = time.monotonic() + _SIGNED_FOR_SECONDS, question
        return question

    def _sign(self, customer: str) -> bytes:
        url = f"{self._url}/customers/{encode_customer(customer)}/forecasts"
        body = json.dumps({"period": self._period}).encode()
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        request = AWSRequest(method="POST", url=url, headers=headers, data=body)
        frozen = self._credentials.get_frozen_credentials()
        SigV4Auth(frozen, "execute-api", self._region).add_auth(request)
        return _message(url, dict(request.prepare().headers.items()), body)


class ContainerTarget:
    """A serving container, asked as SageMaker asks it.

    Args:
        url: where it listens.
        path: from a model's name, or a customer's id, to the path.
        customers: the models' names, or the ids of a bundle's customers; none for a single model.
        named: whether the customer is named in the body, and so in the answer.
    """

    def __init__(
        self, url: str, path: Callable[[str], str], customers: Sequence[str], period: int, *, named: bool
    ) -> None:
        self.address = Address.of(url)
        self._questions = [
            Question(customer, _ask_container(url + path(customer), customer * named, period), period, named)
            for customer in customers or [""]
        ]

    def draw(self) -> Question:
        return random.choice(self._questions)  # noqa: S311 - as above


def multi_model_target(url: str, models: Sequence[str], period: int) -> ContainerTarget:
    return ContainerTarget(
        url, lambda name: f"/models/{quote(name, safe='')}/invoke", models, period, named=False
    )


def single_model_target(url: str, customers: Sequence[str], period: int) -> ContainerTarget:
    return ContainerTarget(url, lambda _name: "/invocations", customers, period, named=bool(customers))


def _ask_container(url: str, customer: str, period: int) -> bytes:
    document: dict[str, Any] = {"period": period}
    if customer:
        document["customer_id"] = customer
    return _message(url, {"Content-Type": "application/json"}, json.dumps(document).encode())


def _message(url: str, headers: dict[str, str], body: bytes) -> bytes:
    parts = _split(url)
    given = {"Host": _host(parts), **headers, "Content-Length": str(len(body))}
    lines = [f"POST {parts.path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items()), "", ""]
    return "\r\n".join(lines).encode() + body


def _host(parts: SplitResult) -> str:
    # As it was signed: a scheme's own port is not named.
    default = {"http": 80, "https": 443}[parts.scheme]
    return parts.hostname or "" if parts.port in (None, default) else parts.netloc


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise UsageMistake(f"{url!r} is not a URL: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise UsageMistake(f"{url!r} is not a URL such as http://127.0.0.1:8080")
    return parts
