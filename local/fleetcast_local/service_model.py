"""Requests and answers are held to the service models that boto3 itself is made from."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import botocore.session
from botocore.validate import ParamValidator


class ApiError(Exception):
    """An error as the AWS API answers it.

    Attributes:
        code: the exception's name on the wire, such as ValidationException.
        message: the sentence for the caller.
        status: the HTTP status.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


class ServiceModel:
    """One AWS service's operations: checks what comes in and trims what goes out."""

    def __init__(self, service: str, invalid: str = "ValidationException") -> None:
        self._model = botocore.session.get_session().get_service_model(service)
        self._invalid = invalid

    def check(self, operation: str, params: dict[str, Any]) -> None:
        """Raise ApiError unless the parameters satisfy the operation's input shape."""
        shape = self._model.operation_model(operation).input_shape
        report = ParamValidator().validate(params, shape)
        if report.has_errors():
            raise ApiError(self._invalid, report.generate_report())
        broken = list(_violations(params, shape, ""))
        if broken:
            plural = "s" if len(broken) > 1 else ""
            raise ApiError(
                self._invalid, f"{len(broken)} validation error{plural} detected: {'; '.join(broken)}"
            )

    def answer(self, operation: str, record: dict[str, Any] | None) -> dict[str, Any]:
        """Return the part of a record that the operation's output shape knows."""
        shape = self._model.operation_model(operation).output_shape
        return {} if shape is None or record is None else dict(_known(record, shape))

    def known(self, shape_name: str, record: dict[str, Any]) -> dict[str, Any]:
        """Return the part of a record that a named shape knows."""
        return dict(_known(record, self._model.shape_for(shape_name)))


@cache
def service_model(service: str, invalid: str = "ValidationException") -> ServiceModel:
    """Return the service's model; reading one takes a noticeable moment, so it is read once."""
    return ServiceModel(service, invalid)


def _known(value: Any, shape: Any) -> Any:
    if value is None:
        return None
    if shape.type_name == "structure":
        members = shape.members
        return {k: _known(v, members[k]) for k, v in value.items() if k in members and v is not None}
    if shape.type_name == "list":
        return [_known(item, shape.member) for item in value]
    if shape.type_name == "map":
        return {k: _known(v, shape.value) for k, v in value.items()}
    return value


def _violations(value: Any, shape: Any, path: str) -> Iterator[str]:
    """What botocore leaves to the service: upper bounds, patterns and enumerations."""
    if shape.type_name == "structure":
        for name, item in value.items():
            yield from _violations(item, shape.members[name], f"{path}.{name}" if path else name)
        return
    if shape.type_name == "list":
        yield from _too_large(len(value), shape, path, "length")
        for index, item in enumerate(value, 1):
            yield from _violations(item, shape.member, f"{path}.{index}.member")
        return
    if shape.type_name == "map":
        yield from _too_large(len(value), shape, path, "length")
        for key, item in value.items():
            yield from _violations(key, shape.key, f"{path}.key")
            yield from _violations(item, shape.value, f"{path}.{key}")
        return
    yield from _scalar_violations(value, shape, path)


def _scalar_violations(value: Any, shape: Any, path: str) -> Iterator[str]:
    if isinstance(value, str):
        yield from _too_large(len(value), shape, path, "length")
        pattern = shape.metadata.get("pattern")
        if pattern and not _matches(pattern, value):
            yield _sentence(value, path, f"Member must satisfy regular expression pattern: {pattern}")
        allowed = shape.metadata.get("enum")
        if allowed and value not in allowed:
            yield _sentence(value, path, f"Member must satisfy enum value set: [{', '.join(allowed)}]")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _too_large(value, shape, path, "value")


def _too_large(size: float, shape: Any, path: str, what: str) -> Iterator[str]:
    limit = shape.metadata.get("max")
    if limit is not None and size > limit:
        yield _sentence(size, path, f"Member must have {what} less than or equal to {limit}")


def _sentence(value: Any, path: str, constraint: str) -> str:
    return f"Value '{value}' at '{path}' failed to satisfy constraint: {constraint}"


def _matches(pattern: str, value: str) -> bool:
    compiled = _compiled(pattern)
    return compiled is None or compiled.fullmatch(value) is not None


@cache
def _compiled(pattern: str) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern)
    except re.error:
        # The models are written for Java; \p{L} and the like have no equal here.
        return None
