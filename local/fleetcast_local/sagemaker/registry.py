"""The model registry: groups, numbered packages and their approval."""

from collections.abc import Callable
from typing import Any

from fleetcast_local.records import Record
from fleetcast_local.sagemaker.listing import page
from fleetcast_local.sagemaker.platform import Platform, event_detail, now
from fleetcast_local.sagemaker.records_api import find
from fleetcast_local.service_model import ApiError, ServiceModel

Handler = Callable[[dict[str, Any]], dict[str, Any]]

_EVENT_TIMES = ("CreationTime", "LastModifiedTime")
_REPLACED = (
    "ModelApprovalStatus",
    "ApprovalDescription",
    "InferenceSpecification",
    "SourceUri",
    "ModelCard",
    "ModelLifeCycle",
)


class Registry:
    """Model package groups and model packages."""

    def __init__(self, platform: Platform, model: ServiceModel) -> None:
        self._platform = platform
        self._model = model

    def handlers(self) -> dict[str, Handler]:
        return {
            "CreateModelPackageGroup": self.create_group,
            "DeleteModelPackageGroup": self.delete_group,
            "CreateModelPackage": self.create_package,
            "DescribeModelPackage": lambda params: self._package(params["ModelPackageName"]),
            "ListModelPackages": self.list_packages,
            "UpdateModelPackage": self.update_package,
            "DeleteModelPackage": self.delete_package,
        }

    def create_group(self, params: dict[str, Any]) -> dict[str, Any]:
        name = params["ModelPackageGroupName"]
        arn = self._platform.arn("ModelPackageGroup", name)
        record = {key: value for key, value in params.items() if key != "Tags"} | {
            "ModelPackageGroupArn": arn,
            "ModelPackageGroupStatus": "Completed",
            "CreationTime": now(),
            "CreatedBy": {},
            "_Tags": params.get("Tags", []),
            "_LastVersion": 0,
        }
        with self._platform.records.lock:
            if self._platform.records.get("ModelPackageGroup", name) is not None:
                raise ApiError("ValidationException", f"Model Package Group already exists: {arn}")
            self._platform.records.put("ModelPackageGroup", name, record)
        return {"ModelPackageGroupArn": arn}

    def delete_group(self, params: dict[str, Any]) -> dict[str, Any]:
        name = _last(params["ModelPackageGroupName"])
        find(self._platform, "ModelPackageGroup", name)
        if any(p.get("ModelPackageGroupName") == name for p in self._platform.records.all("ModelPackage")):
            raise ApiError(
                "ConflictException",
                f"Model package group {name} still has model packages. Delete them first.",
            )
        self._platform.records.delete("ModelPackageGroup", name)
        return {}

    def create_package(self, params: dict[str, Any]) -> dict[str, Any]:
        if ("ModelPackageGroupName" in params) == ("ModelPackageName" in params):
            raise ApiError(
                "ValidationException",
                "Give either ModelPackageGroupName (versioned) or ModelPackageName (unversioned).",
            )
        with self._platform.records.lock:
            again = self._created_before(params.get("ClientToken"))
            if again is not None:
                return again
            identity = self._identity(params)
            record = {key: value for key, value in params.items() if key not in {"Tags", "ClientToken"}}
            record |= identity | {
                "ModelPackageStatus": "Completed",
                "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
                "CreationTime": now(),
                "LastModifiedTime": now(),
                "_Tags": params.get("Tags", []),
                "_Token": params.get("ClientToken"),
            }
            self._platform.records.put("ModelPackage", identity["ModelPackageArn"], record)
        self._tell(record)
        return {"ModelPackageArn": identity["ModelPackageArn"]}

    def list_packages(self, params: dict[str, Any]) -> dict[str, Any]:
        packages = self._platform.records.all("ModelPackage")
        versioned = {"Versioned": True, "Unversioned": False}.get(
            params.get(
                "ModelPackageType", "Versioned" if "ModelPackageGroupName" in params else "Unversioned"
            )
        )
        group = _last(params["ModelPackageGroupName"]) if "ModelPackageGroupName" in params else None
        status = params.get("ModelApprovalStatus")
        wanted = [
            package
            for package in packages
            if (versioned is None or ("ModelPackageVersion" in package) == versioned)
            and group in {None, package.get("ModelPackageGroupName")}
            and status in {None, package.get("ModelApprovalStatus")}
        ]
        records, more = page(wanted, "ModelPackage", params)
        return {
            "ModelPackageSummaryList": [self._model.known("ModelPackageSummary", r) for r in records],
            **more,
        }

    def update_package(self, params: dict[str, Any]) -> dict[str, Any]:
        arn = self._package(params["ModelPackageArn"])["ModelPackageArn"]

        def change(record: Record) -> None:
            record.update({name: params[name] for name in _REPLACED if name in params})
            properties = record.get("CustomerMetadataProperties", {}) | params.get(
                "CustomerMetadataProperties", {}
            )
            removed = set(params.get("CustomerMetadataPropertiesToRemove", []))
            kept = {key: value for key, value in properties.items() if key not in removed}
            record.pop("CustomerMetadataProperties", None)
            record.update({"CustomerMetadataProperties": kept} if kept else {})
            record["LastModifiedTime"] = now()

        record = self._platform.records.change("ModelPackage", arn, change)
        if record is not None:
            self._tell(record)
        return {"ModelPackageArn": arn}

    def delete_package(self, params: dict[str, Any]) -> dict[str, Any]:
        package = self._package(params["ModelPackageName"])
        self._platform.records.delete("ModelPackage", package["ModelPackageArn"])
        return {}

    def _identity(self, params: dict[str, Any]) -> dict[str, Any]:
        if "ModelPackageName" in params:
            name = params["ModelPackageName"]
            arn = self._platform.arn("ModelPackage", name)
            if self._platform.records.get("ModelPackage", arn) is not None:
                raise ApiError("ConflictException", f"Model Package already exists: {arn}")
            return {"ModelPackageName": name, "ModelPackageArn": arn}
        group = _last(params["ModelPackageGroupName"])
        # A version number is never given twice, not even after its package was deleted.
        version = find(self._platform, "ModelPackageGroup", group)["_LastVersion"] + 1
        self._platform.records.update("ModelPackageGroup", group, _LastVersion=version)
        return {
            "ModelPackageName": group,
            "ModelPackageGroupName": group,
            "ModelPackageVersion": version,
            "ModelPackageArn": self._platform.arn("ModelPackage", f"{group}/{version}"),
            "ModelApprovalStatus": params.get("ModelApprovalStatus", "PendingManualApproval"),
        }

    def _created_before(self, token: str | None) -> dict[str, Any] | None:
        for package in self._platform.records.all("ModelPackage") if token else ():
            if package.get("_Token") == token:
                return {"ModelPackageArn": package["ModelPackageArn"]}
        return None

    def _package(self, name_or_arn: str) -> Record:
        known = (
            name_or_arn.lower()
            if name_or_arn.startswith("arn:")
            else self._platform.arn("ModelPackage", name_or_arn)
        )
        record = self._platform.records.get("ModelPackage", known)
        if record is None:
            raise ApiError("ValidationException", f"ModelPackage {name_or_arn} does not exist")
        return record

    def _tell(self, record: Record) -> None:
        self._platform.tell("SageMaker Model Package State Change", event_detail(record, _EVENT_TIMES))


def _last(name_or_arn: str) -> str:
    return name_or_arn.rsplit("/", 1)[-1]
