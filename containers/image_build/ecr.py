"""The repositories of Amazon ECR, whether on AWS or in the local cloud."""

import base64
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from containers.image_build.errors import BuildError
from containers.image_build.settings import Repository

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_MANIFESTS = [OCI_MANIFEST, "application/vnd.docker.distribution.manifest.v2+json"]


class Ecr:
    """The calls that a build needs; every refusal of theirs is a BuildError."""

    def __init__(self, region: str) -> None:
        self._client = boto3.client("ecr", region_name=region)

    def digest(self, repository: Repository, tag: str) -> str | None:
        """Return the digest of a tag's image, or None if there is no such tag."""
        try:
            answer = self._client.batch_get_image(
                repositoryName=repository.name, imageIds=[{"imageTag": tag}], acceptedMediaTypes=_MANIFESTS
            )
        except (ClientError, BotoCoreError) as error:
            raise BuildError(f"cannot look up {repository.uri}:{tag}: {error}") from error
        images: list[dict[str, Any]] = answer.get("images", [])
        return str(images[0]["imageId"]["imageDigest"]) if images else None

    def put(self, repository: Repository, tag: str, manifest: str) -> str:
        """Store a manifest under a tag and return its digest."""
        try:
            answer = self._client.put_image(
                repositoryName=repository.name,
                imageManifest=manifest,
                imageManifestMediaType=OCI_MANIFEST,
                imageTag=tag,
            )
        except (ClientError, BotoCoreError) as error:
            raise BuildError(f"cannot store {repository.uri}:{tag}: {error}") from error
        return str(answer["image"]["imageId"]["imageDigest"])

    def credentials(self) -> tuple[str, str]:
        """Return the user and the password for the registry, good for twelve hours."""
        try:
            answer = self._client.get_authorization_token()
        except (ClientError, BotoCoreError) as error:
            raise BuildError(f"cannot log in to ECR: {error}") from error
        token = base64.b64decode(answer["authorizationData"][0]["authorizationToken"]).decode()
        user, _, password = token.partition(":")
        return user, password
