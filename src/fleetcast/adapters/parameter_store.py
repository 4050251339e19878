"""The stack's parameters in SSM."""

from fleetcast.adapters.clients import client
from fleetcast.domain.parameters import Value, parse_parameters


def read_parameters(path: str, group: str = "") -> dict[str, Value]:
    """Return the parameters below `path` (`/fleetcast/<stack>/`), all or of one group, typed and checked."""
    pages = client("ssm").get_paginator("get_parameters_by_path").paginate(Path=path, Recursive=True)
    texts = {
        entry["Name"].removeprefix(path): entry["Value"] for page in pages for entry in page["Parameters"]
    }
    return parse_parameters(texts, group)
