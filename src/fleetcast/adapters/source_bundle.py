"""The containers' sources: they travel with `sam deploy` as a layer version, and CodeBuild reads them from S3."""

import base64
import urllib.request

from fleetcast.adapters.clients import client
from fleetcast.adapters.storage import exists, write_bytes


def publish_sources(layer_version_arn: str, data_bucket: str) -> str:
    """Copy the sources to `source/<digest>.zip` unless they are there; return the digest (16 hexadecimal digits).

    The digest is of the layer's content, so it names a version of the sources whoever deployed it.
    """
    content = client("lambda").get_layer_version_by_arn(Arn=layer_version_arn)["Content"]
    digest = base64.b64decode(content["CodeSha256"]).hex()[:16]
    target = f"s3://{data_bucket}/source/{digest}.zip"
    if not exists(target):
        with urllib.request.urlopen(content["Location"], timeout=30) as response:  # noqa: S310  # a URL that AWS signed
            write_bytes(target, response.read())
    return digest
