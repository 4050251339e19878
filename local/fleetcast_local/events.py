"""EventBridge events that AWS emits by itself and MiniStack does not."""

import json
import logging
from collections.abc import Callable
from typing import Any

from ministack.services import eventbridge, sns, ssm

from fleetcast_local.answers import Answer

logger = logging.getLogger("fleetcast.events")


def install() -> None:
    """Report changes of SSM parameters on the default bus; give rules' SNS messages no subject, as on AWS."""
    eventbridge._dispatch_to_sns = _publish
    ssm._put_parameter = _reporting_put(ssm._put_parameter)
    ssm._delete_parameter = _reporting_delete(ssm._delete_parameter, _single_name)
    ssm._delete_parameters = _reporting_delete(ssm._delete_parameters, _many_names)


def emit(source: str, detail_type: str, detail: dict[str, Any], resources: list[str]) -> None:
    """Put one event of an AWS service on the default bus; a failure is logged and never fails the cause."""
    entry = {
        "Source": source,
        "DetailType": detail_type,
        "Detail": json.dumps(detail),
        "Resources": resources,
    }
    try:
        eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)
    except Exception:
        logger.exception("the event %s of %s was not delivered", detail_type, resources)


def _publish(topic: str, payload: str) -> None:
    if sns.publish_internal(topic, payload) is None:
        logger.warning("a rule's target does not exist: %s", topic)


def _reporting_put(put: Callable[[dict[str, Any]], Answer]) -> Callable[[dict[str, Any]], Answer]:
    def put_and_report(request: dict[str, Any]) -> Answer:
        answer = put(request)
        if answer[0] == 200:
            parameter = ssm._parameters[request["Name"]]
            _report("Create" if parameter["Version"] == 1 else "Update", parameter)
        return answer

    return put_and_report


def _reporting_delete(
    delete: Callable[[dict[str, Any]], Answer], names: Callable[[dict[str, Any]], list[str]]
) -> Callable[[dict[str, Any]], Answer]:
    def delete_and_report(request: dict[str, Any]) -> Answer:
        known = [ssm._lookup_parameter(name)[1] for name in names(request)]
        answer = delete(request)
        if answer[0] == 200:
            for parameter in filter(None, known):
                _report("Delete", parameter)
        return answer

    return delete_and_report


def _single_name(request: dict[str, Any]) -> list[str]:
    return [request["Name"]]


def _many_names(request: dict[str, Any]) -> list[str]:
    return list(request["Names"])


def _report(operation: str, parameter: dict[str, Any]) -> None:
    detail = {
        "operation": operation,
        "name": parameter["Name"],
        "type": parameter["Type"],
        "description": parameter.get("Description", ""),
    }
    emit("aws.ssm", "Parameter Store Change", detail, [parameter["ARN"]])
