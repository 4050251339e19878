"""Between Step Functions' JSON and boto3's parameters: names in Pascal case, strict types, plain results."""

import json
from typing import Any

from botocore.response import StreamingBody
from moto.stepfunctions.parser.asl.utils.encoding import to_json_str

_STRINGS = ("string", "timestamp")


class BadParameters(Exception):
    """A task's parameters cannot be sent; the text is the one that Step Functions gives."""


def to_request(value: Any, shape: Any, field: str = "") -> Any:
    """Return parameters as boto3 takes them.

    Raises:
        BadParameters: a field is unknown, or of another type than the service declares.
    """
    convert = _TO_REQUEST.get(shape.type_name)
    if convert:
        return convert(value, shape, field)
    if shape.type_name in _STRINGS and not isinstance(value, str):
        raise _must_be(field, "a STRING")
    return value


def _structure_request(value: Any, shape: Any, field: str) -> Any:
    if not isinstance(value, dict):
        raise _must_be(field, "an OBJECT")
    # Acronyms are spelt differently by every SDK: SseKmsKeyId here, SSEKMSKeyId there.
    names = {name.casefold(): name for name in shape.members}
    request = {}
    for given, member in value.items():
        name = names.get(given.casefold())
        if name is None:
            raise BadParameters(f"The field '{given}' is not supported by Step Functions")
        request[name] = to_request(member, shape.members[name], given)
    return request


def _list_request(value: Any, shape: Any, field: str) -> Any:
    if not isinstance(value, list):
        raise _must_be(field, "an ARRAY")
    return [to_request(member, shape.member, field) for member in value]


def _map_request(value: Any, shape: Any, field: str) -> Any:
    if not isinstance(value, dict):
        raise _must_be(field, "an OBJECT")
    return {key: to_request(member, shape.value, key) for key, member in value.items()}


def _blob_request(value: Any, _shape: Any, _field: str) -> bytes:
    return value.encode() if isinstance(value, str) else json.dumps(value, separators=(",", ":")).encode()


_TO_REQUEST = {
    "structure": _structure_request,
    "list": _list_request,
    "map": _map_request,
    "blob": _blob_request,
}


def _must_be(field: str, what: str) -> BadParameters:
    return BadParameters(f"The value for the field '{field}' must be {what}")


def to_result(value: Any, shape: Any) -> Any:
    """Return a boto3 answer as Step Functions shows it."""
    return json.loads(to_json_str(_pascal(value, shape)))


def _pascal(value: Any, shape: Any) -> Any:
    if isinstance(value, StreamingBody):
        return value.read().decode("utf-8", "replace")
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if shape.type_name == "structure" and isinstance(value, dict):
        return {
            name[:1].upper() + name[1:]: _pascal(member, shape.members[name])
            for name, member in value.items()
            if name in shape.members
        }
    if shape.type_name == "list" and isinstance(value, list):
        return [_pascal(member, shape.member) for member in value]
    if shape.type_name == "map" and isinstance(value, dict):
        return {key: _pascal(member, shape.value) for key, member in value.items()}
    return value


def operation(client: Any, action: str) -> Any:
    """Return the model of a client's operation, given as the method's name."""
    return client.meta.service_model.operation_model(client.meta.method_to_api_mapping[action])
