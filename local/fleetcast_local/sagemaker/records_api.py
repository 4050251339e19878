"""Describe, List and tags: the same for every kind of record."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from fleetcast_local.records import Record
from fleetcast_local.sagemaker.listing import page
from fleetcast_local.sagemaker.platform import Platform
from fleetcast_local.service_model import ApiError, ServiceModel

Handler = Callable[[dict[str, Any]], dict[str, Any]]


class Kind(NamedTuple):
    """How the API speaks of one kind of record."""

    summaries: str
    summary: str
    missing: str


KINDS = {
    "TrainingJob": Kind("TrainingJobSummaries", "TrainingJobSummary", "training job"),
    "ProcessingJob": Kind("ProcessingJobSummaries", "ProcessingJobSummary", "processing job"),
    "Model": Kind("Models", "ModelSummary", "model"),
    "EndpointConfig": Kind("EndpointConfigs", "EndpointConfigSummary", "endpoint configuration"),
    "Endpoint": Kind("Endpoints", "EndpointSummary", "endpoint"),
    "ModelPackageGroup": Kind(
        "ModelPackageGroupSummaryList", "ModelPackageGroupSummary", "model package group"
    ),
}


def find(platform: Platform, kind: str, name: str) -> Record:
    """Return the record, or raise the error that SageMaker answers when there is none."""
    record = platform.records.get(kind, name)
    if record is None:
        raise ApiError(
            "ValidationException", f'Could not find {KINDS[kind].missing} "{platform.arn(kind, name)}".'
        )
    return record


class RecordsApi:
    """The operations that only read records, and tags."""

    def __init__(self, platform: Platform, model: ServiceModel) -> None:
        self._platform = platform
        self._model = model

    def handlers(self) -> dict[str, Handler]:
        return {
            **{f"Describe{kind}": partial(self._describe, kind) for kind in KINDS},
            **{f"List{kind}s": partial(self._list, kind) for kind in KINDS},
            "AddTags": self.add_tags,
            "ListTags": self.list_tags,
            "DeleteTags": self.delete_tags,
        }

    def _describe(self, kind: str, params: dict[str, Any]) -> Record:
        # A model package group may be named by its ARN.
        return find(self._platform, kind, params[f"{kind}Name"].rsplit("/", 1)[-1])

    def _list(self, kind: str, params: dict[str, Any]) -> dict[str, Any]:
        records, more = page(self._platform.records.all(kind), kind, params)
        names = KINDS[kind]
        return {names.summaries: [self._model.known(names.summary, record) for record in records], **more}

    def add_tags(self, params: dict[str, Any]) -> dict[str, Any]:
        kind, name = self._owner(params["ResourceArn"])
        added = {tag["Key"]: tag for tag in params["Tags"]}

        def change(record: Record) -> None:
            kept = [tag for tag in record.get("_Tags", []) if tag["Key"] not in added]
            record["_Tags"] = kept + list(added.values())

        record = self._platform.records.change(kind, name, change) or {}
        return {"Tags": record.get("_Tags", [])}

    def list_tags(self, params: dict[str, Any]) -> dict[str, Any]:
        kind, name = self._owner(params["ResourceArn"])
        record = self._platform.records.get(kind, name) or {}
        return {"Tags": record.get("_Tags", [])}

    def delete_tags(self, params: dict[str, Any]) -> dict[str, Any]:
        kind, name = self._owner(params["ResourceArn"])
        removed = set(params["TagKeys"])

        def change(record: Record) -> None:
            record["_Tags"] = [tag for tag in record.get("_Tags", []) if tag["Key"] not in removed]

        self._platform.records.change(kind, name, change)
        return {}

    def _owner(self, arn: str) -> tuple[str, str]:
        records = self._platform.records
        for kind in (*KINDS, "ModelPackage"):
            for name in records.names(kind):
                record = records.get(kind, name)
                if record is not None and record[f"{kind}Arn"].lower() == arn.lower():
                    return kind, name
        raise ApiError("ResourceNotFound", f"Could not find resource {arn}.")
