"""The HTTP API as any application calls it: signed requests, and its sentences when it refuses."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.exceptions import NoCredentialsError
from botocore.httpsession import URLLib3Session

from fleetcast_cli.errors import CommandFailed, UsageMistake
from fleetcast_cli.session import Cloud

_ATTEMPTS = 4
_TIMEOUT_SECONDS = 35  # the gateway itself gives up after 29
_LONGEST_PAUSE_SECONDS = 30.0


class ApiRefusal(CommandFailed):
    """The API answered, but not with what was asked for.

    Attributes:
        status: the HTTP status.
    """

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def ask_forecast(
    cloud: Cloud, customer: str, request: Mapping[str, Any], say_waiting: Callable[[str], None]
) -> dict[str, Any]:
    """POST a forecast request, such as {"period": 7}; a model that is not ready is asked again a few times."""
    url = f"{cloud.api_url}/customers/{encode_customer(customer)}/forecasts"
    for attempt in range(1, _ATTEMPTS + 1):
        response = _send(cloud, url, request)
        if response.status_code == 200:
            answer: dict[str, Any] = json.loads(response.text)
            return answer
        if response.status_code != 503 or attempt == _ATTEMPTS:
            break
        pause = _retry_after(response)
        say_waiting(f"{_sentence(response)} Waiting {pause:g} s ({attempt} of {_ATTEMPTS - 1}).")
        time.sleep(pause)
    if response.status_code == 400:
        raise UsageMistake(_sentence(response))
    raise ApiRefusal(response.status_code, _sentence(response))


def encode_customer(customer: str) -> str:
    if not customer:
        raise UsageMistake("CUSTOMER is empty: name a customer, see fleetcast fleet")
    # A segment of dots alone would be taken for a way up the path.
    return quote(customer, safe="") if customer.strip(".") else "%2E" * len(customer)


def _send(cloud: Cloud, url: str, document: Mapping[str, Any]) -> AWSResponse:
    credentials = cloud.session.get_credentials()
    if credentials is None:
        raise NoCredentialsError
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    request = AWSRequest(method="POST", url=url, headers=headers, data=json.dumps(document).encode())
    region = cloud.session.region_name or cloud.settings.region
    SigV4Auth(credentials.get_frozen_credentials(), "execute-api", region).add_auth(request)
    proxies: dict[str, str] | None = {} if cloud.is_local else None
    return URLLib3Session(timeout=_TIMEOUT_SECONDS, proxies=proxies).send(request.prepare())


def _retry_after(response: AWSResponse) -> float:
    try:
        asked = float(response.headers.get("Retry-After", "5"))
    except ValueError:
        asked = 5.0
    return min(max(asked, 0.0), _LONGEST_PAUSE_SECONDS)


def _sentence(response: AWSResponse) -> str:
    """Return what the API said of its refusal; the gateway's own answers have another shape."""
    try:
        document = json.loads(response.text)
    except ValueError:
        document = {}
    problem = document.get("error") if isinstance(document, dict) else None
    said = problem.get("message") if isinstance(problem, dict) else None
    said = said or (
        document.get("message") or document.get("Message") if isinstance(document, dict) else None
    )
    return f"the API answered {response.status_code}: {said or response.text[:200] or 'without a word'}"
