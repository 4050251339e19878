"""What keeps local work local: no request leaves the machine, no setting of the user's AWS account gets in."""

import ipaddress
import os
from collections.abc import Mapping
from urllib.parse import urlsplit

from fleetcast_local.layout import ACCOUNT, REGION

# The user's own AWS configuration, in any of its spellings; PYTHON* would change what the daemon imports.
_FOREIGN_PREFIXES = (
    "AWS_",
    "BOTO",
    "PYTHON",
    "VIRTUAL_ENV",
    "SAM_CLI_",
    "MINISTACK_",
    "LOCALSTACK_",
    "MOTO_",
)


class NotLocal(Exception):
    """Something meant for the local cloud was about to reach another machine."""


def is_loopback(url: str) -> bool:
    """Return whether a URL's host can only be this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def require_local(url: str | None) -> str:
    """Return the endpoint unchanged, or raise NotLocal unless it is this machine's loopback."""
    if not url:
        raise NotLocal(
            "no endpoint is set, so this would reach a real AWS account; start the local cloud first"
        )
    if not is_loopback(url):
        raise NotLocal(f"{url} is not on this machine; a local command only talks to 127.0.0.1")
    return url


def local_settings(endpoint_url: str) -> dict[str, str]:
    """Return the AWS_* variables that send any AWS client of a subprocess to the local cloud, and only there."""
    return {
        "AWS_ACCESS_KEY_ID": ACCOUNT,
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_SESSION_TOKEN": "local",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": require_local(endpoint_url),
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        # StartSyncExecution and TestState would otherwise be sent to sync-127.0.0.1, which is no host.
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }


def without_aws(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without the user's AWS settings and without what steers another Python."""
    return {name: value for name, value in environ.items() if not name.upper().startswith(_FOREIGN_PREFIXES)}
