"""What the hosts of a training job leave behind: one model.tar.gz, one output.tar.gz."""

import tarfile
import tempfile
from pathlib import Path
from typing import Any

from fleetcast_local.sagemaker.hosts import Host
from fleetcast_local.sagemaker.jobs import JobFailed
from fleetcast_local.sagemaker.transfer import Transfer, files_below, split_uri


def artifacts_uri(output: dict[str, Any], job: str) -> str:
    """Return what ModelArtifacts.S3ModelArtifacts says."""
    base = f"{output['S3OutputPath'].rstrip('/')}/{job}/output"
    return f"{base}/model/" if output.get("CompressionType") == "NONE" else f"{base}/model.tar.gz"


def upload_artifacts(transfer: Transfer, hosts: list[Host], output: dict[str, Any], job: str) -> None:
    """Upload the models and other outputs of all hosts; no two hosts may have written the same name."""
    models = _merged(hosts, "model")
    others = _merged(hosts, "output/data")
    base = f"{output['S3OutputPath'].rstrip('/')}/{job}/output"
    if output.get("CompressionType") == "NONE":
        transfer.upload([(file, name) for name, file in models.items()], f"{base}/model")
        transfer.upload([(file, name) for name, file in others.items()], f"{base}/data")
        return
    _upload_archive(transfer, models, f"{base}/model.tar.gz")
    if others:
        _upload_archive(transfer, others, f"{base}/output.tar.gz")


def _merged(hosts: list[Host], folder: str) -> dict[str, Path]:
    merged: dict[str, Path] = {}
    writers: dict[str, str] = {}
    for host in hosts:
        for file, name in files_below(host.sandbox.ml / folder):
            if name in merged:
                raise JobFailed(
                    f"ClientError: Artifact upload failed: {writers[name]} and {host.name} both wrote "
                    f"/opt/ml/{folder}/{name}. File names must not clash between hosts: put the host's name in them."
                )
            merged[name], writers[name] = file, host.name
    return merged


def _upload_archive(transfer: Transfer, files: dict[str, Path], uri: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        archive = Path(scratch) / "archive.tar.gz"
        with tarfile.open(archive, "w:gz") as tar:
            for name, file in files.items():
                tar.add(file, name)
        transfer.put(archive, *split_uri(uri))
