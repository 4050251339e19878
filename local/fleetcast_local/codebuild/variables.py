"""A build's environment variables: buildspec below project below StartBuild, some of them kept elsewhere."""

import json
from dataclasses import dataclass
from typing import Any

from fleetcast_local.codebuild.buildspec import Buildspec
from fleetcast_local.images import Clients


@dataclass(frozen=True)
class Variables:
    """Variables of the project and of the request, in rising precedence."""

    given: tuple[dict[str, Any], ...]
    """`{"name", "value", "type"}` as the API writes them; a later one wins."""

    def resolve(self, clients: Clients, spec: Buildspec) -> dict[str, str]:
        """Return every variable with its value; those of Parameter Store and Secrets Manager are fetched."""
        values = dict(spec.variables)
        values |= {name: _parameter(clients, key) for name, key in spec.parameters.items()}
        values |= {name: _secret(clients, key) for name, key in spec.secrets.items()}
        for variable in self.given:
            values[variable["name"]] = _value(clients, variable)
        return values

    def secret_names(self, spec: Buildspec) -> set[str]:
        """Return the variables that must not be exported."""
        stored = {v["name"] for v in self.given if v.get("type", "PLAINTEXT") == "SECRETS_MANAGER"}
        return stored | set(spec.secrets)


def _value(clients: Clients, variable: dict[str, Any]) -> str:
    kind = variable.get("type", "PLAINTEXT")
    if kind == "PARAMETER_STORE":
        return _parameter(clients, variable["value"])
    if kind == "SECRETS_MANAGER":
        return _secret(clients, variable["value"])
    return str(variable["value"])


def _parameter(clients: Clients, name: str) -> str:
    value: str = clients("ssm").get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"]
    return value


def _secret(clients: Clients, reference: str) -> str:
    """Return a secret named `id` or `id:json-key`."""
    identity, _, key = reference.partition(":") if not reference.startswith("arn:") else (reference, "", "")
    text: str = clients("secretsmanager").get_secret_value(SecretId=identity)["SecretString"]
    return str(json.loads(text)[key]) if key else text
