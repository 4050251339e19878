"""Puts real builds behind MiniStack's CodeBuild, which keeps the projects and only pretends to build them."""

from collections.abc import Callable
from typing import Any

from ministack.services import codebuild as ministack

from fleetcast_local.answers import Answer, ok, refused
from fleetcast_local.codebuild import LocalCodeBuild
from fleetcast_local.service_model import ApiError

Request = dict[str, Any]


def install(builds: LocalCodeBuild) -> None:
    """Answer the operations on builds with the local CodeBuild."""
    ministack._start_build = _answering(lambda request: {"build": _start(builds, request)})
    ministack._stop_build = _answering(lambda request: {"build": builds.stop_build(request["id"])})
    ministack._batch_get_builds = _answering(lambda request: builds.batch_get_builds(request["ids"]))
    ministack._list_builds_for_project = _answering(
        lambda request: builds.list_builds_for_project(_project(request)["name"])
    )


def _start(builds: LocalCodeBuild, request: Request) -> dict[str, Any]:
    return builds.start_build(_project(request), request)


def _project(request: Request) -> dict[str, Any]:
    name = request.get("projectName", "")
    project: dict[str, Any] | None = ministack._projects.get(name)
    if project is None:
        raise ApiError("ResourceNotFoundException", f"Project not found: {name}")
    return project


def _answering(operation: Callable[[Request], dict[str, Any]]) -> Callable[[Request], Answer]:
    def answer(request: Request) -> Answer:
        try:
            return ok(operation(request))
        except ApiError as error:
            return refused(error.code, error.message, error.status)

    return answer
