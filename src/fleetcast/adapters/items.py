"""Plain documents to DynamoDB items and back; floats travel as decimal text and lose nothing."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

_serializer, _deserializer = TypeSerializer(), TypeDeserializer()


def to_item(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: to_value(value) for name, value in document.items()}


def to_value(value: Any) -> Any:
    return _serializer.serialize(_decimals(value))


def from_item(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _floats(_deserializer.deserialize(value)) for name, value in item.items()}


def _decimals(value: Any) -> Any:
    if isinstance(value, float):
        # DynamoDB keeps 38 digits and no exponent beyond 125; a float's shortest form has 17
        return Decimal(repr(value))
    if isinstance(value, Mapping):
        return {name: _decimals(inner) for name, inner in value.items()}
    return [_decimals(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def _floats(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {name: _floats(inner) for name, inner in value.items()}
    return [_floats(inner) for inner in value] if isinstance(value, list) else value
