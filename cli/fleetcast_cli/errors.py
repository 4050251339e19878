"""What a command may end with, and how any error becomes one sentence and an exit code."""

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ProfileNotFound,
    ReadTimeoutError,
    SSOError,
)

from fleetcast.errors import FleetcastError, RequestError, RunInProgress
from fleetcast_local.guard import NotLocal
from fleetcast_local.lifecycle import CloudError

FAILED, USAGE, REFUSED, INTERRUPTED = 1, 2, 3, 130


class CommandFailed(FleetcastError):
    """The command did its work, and the outcome is a failure."""


class UsageMistake(FleetcastError):
    """What was typed cannot be done; the sentence says what can."""


class Refused(FleetcastError):
    """Something else is in progress, or in the way, and was left alone."""


def exit_code(error: Exception) -> int:
    if isinstance(error, (UsageMistake, RequestError)):
        return USAGE
    return REFUSED if isinstance(error, (Refused, RunInProgress)) else FAILED


def explain(error: Exception) -> str | None:
    """Return the sentence for an error that can happen to anybody, None for one that should not happen."""
    if isinstance(error, (FleetcastError, CloudError, NotLocal)):
        return str(error)
    if isinstance(error, ClientError):
        return _explain_refusal(error)
    if isinstance(error, BotoCoreError):
        return _explain_connection(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return None


def _explain_refusal(error: ClientError) -> str:
    problem = error.response.get("Error", {})
    code = problem.get("Code", "Unknown")
    sentence = f"{error.operation_name} was refused: {code}: {problem.get('Message', 'no reason was given')}"
    if "ExpiredToken" in code or code in ("InvalidClientTokenId", "UnrecognizedClientException"):
        return f"{sentence} - sign in to AWS again, or choose another profile with AWS_PROFILE"
    return sentence


def _explain_connection(error: BotoCoreError) -> str | None:
    if isinstance(error, NoCredentialsError):
        return "no AWS credentials were found: sign in, or name a profile with AWS_PROFILE"
    if isinstance(error, NoRegionError):
        return "no AWS region is set: set AWS_REGION, or `region` in samconfig.toml"
    if isinstance(error, ProfileNotFound):
        return f"{error}; the profiles that exist are listed by `aws configure list-profiles`"
    if isinstance(error, SSOError):
        return f"{error}; sign in again with `aws sso login`"
    if isinstance(error, (EndpointConnectionError, ConnectTimeoutError, ReadTimeoutError)):
        return f"{error}; check the network, or for the local cloud look at `fleetcast status`"
    return None
