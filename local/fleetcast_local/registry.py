"""What MiniStack's ECR forgets: DescribeImages of an image that is not there is an error, not an empty list."""

from collections.abc import Callable
from typing import Any

from ministack.services import ecr

from fleetcast_local.answers import Answer, refused
from fleetcast_local.layout import ACCOUNT

Describe = Callable[[dict[str, Any]], Answer]


def install() -> None:
    """Make DescribeImages raise ImageNotFoundException, by which a workflow knows that it has to build."""
    ecr._describe_images = _strict(ecr._describe_images)


def _strict(describe: Describe) -> Describe:
    def describe_or_refuse(request: dict[str, Any]) -> Answer:
        answer = describe(request)
        if answer[0] == 200:
            for image in request.get("imageIds") or ():
                if ecr._find_image(request["repositoryName"], image) is None:
                    return _missing(request["repositoryName"], image)
        return answer

    return describe_or_refuse


def _missing(repository: str, image: dict[str, str]) -> Answer:
    digest, tag = image.get("imageDigest", "null"), image.get("imageTag", "null")
    return refused(
        "ImageNotFoundException",
        f"The image with imageId {{imageDigest:'{digest}', imageTag:'{tag}'}} does not exist within the "
        f"repository with name '{repository}' in the registry with id '{ACCOUNT}'",
    )
