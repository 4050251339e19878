"""The local cloud's daemon: `python -m fleetcast_local --project FOLDER --port PORT`."""

import argparse
import logging
import os
from pathlib import Path

from fleetcast_local.guard import local_settings
from fleetcast_local.layout import ACCOUNT, HOST, REGION, Layout

# What the product's stack uses; anything else stays unloaded and answers "Unsupported service".
SERVICES = (
    "apigateway,cloudformation,codebuild,dynamodb,ecr,events,iam,kms,lambda,logs,monitoring,"
    "s3,scheduler,secretsmanager,sns,sqs,ssm,states,sts,tagging"
)


def main() -> None:
    arguments = _parse()
    layout = Layout.of(arguments.project)
    layout.create()
    # MiniStack and moto read their settings when they are imported, so these come first.
    os.environ.update(ministack_settings(layout, arguments.port))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s [%(name)s] %(message)s")

    from fleetcast_local.cloud import run  # noqa: PLC0415

    run(layout, arguments.port)


def ministack_settings(layout: Layout, port: int) -> dict[str, str]:
    """Return the daemon's own environment: its services on loopback only, its state below the project."""
    return {
        **local_settings(f"http://{HOST}:{port}"),
        "GATEWAY_PORT": str(port),
        "BIND_HOST": HOST,
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "MINISTACK_REGION": REGION,
        "SERVICES": SERVICES,
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "PERSIST_STATE": "1",
        "STATE_DIR": str(layout.state),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(layout.s3),
        "LAMBDA_EXECUTOR": "local",
        "LAMBDA_ASYNC_RETRY_BASE_SECONDS": "1",
        "MINISTACK_AUTOCREATE_AWS_MANAGED": "1",
        "LOG_LEVEL": "WARNING",
    }


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m fleetcast_local", description=__doc__)
    parser.add_argument("--project", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
