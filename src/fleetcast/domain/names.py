"""The names that tie a run together: run ids, artifact keys and their inverse."""

import hashlib
import re
import secrets
from datetime import UTC, datetime
from urllib.parse import quote

from fleetcast.errors import RequestError

RUN_ID = re.compile(r"r\d{14}-[0-9a-f]{6}")
MAX_CUSTOMER_ID = 128
# ext4 and APFS allow 255 bytes a name; the rest is room for ".tar.gz" and for a temporary suffix.
_MAX_STEM = 200


def new_run_id(now: datetime | None = None) -> str:
    """Return `r<utc yyyymmddthhmmss>-<6 hex>`: sorts by time and is legal in every SageMaker name."""
    return f"r{(now or datetime.now(UTC)).astimezone(UTC):%Y%m%d%H%M%S}-{secrets.token_hex(3)}"


def run_moment(run_id: str) -> datetime:
    """Return the moment that a run's id begins with; ValueError if it is none of ours."""
    if not RUN_ID.fullmatch(run_id):
        raise ValueError(f"{run_id!r} is no run id")
    return datetime.strptime(run_id[1:15], "%Y%m%d%H%M%S").replace(tzinfo=UTC)


def check_customer_id(customer_id: str) -> str:
    """Return the id unchanged, or raise RequestError saying what an id may be."""
    if not customer_id or len(customer_id) > MAX_CUSTOMER_ID:
        raise RequestError(
            f"customer_id must have 1 to {MAX_CUSTOMER_ID} characters, not {len(customer_id)}", "customer_id"
        )
    if any(ord(character) < 32 or 0xD800 <= ord(character) <= 0xDFFF for character in customer_id):
        raise RequestError("customer_id must be text without control characters", "customer_id")
    return customer_id


def artifact_name(customer_id: str) -> str:
    """Return the file name of a customer's model: percent-encoded, and never longer than a file system allows.

    An id whose encoding is too long keeps its beginning and ends in `~` and a digest of the whole id;
    `~` is itself encoded in ordinary names, so the two kinds cannot meet.
    """
    stem = quote(customer_id, safe="").replace("~", "%7E")
    if stem.startswith("."):  # hidden files are the ones that are still being written
        stem = f"%2E{stem[1:]}"
    if len(stem) > _MAX_STEM:
        stem = f"{stem[:150]}~{hashlib.sha256(customer_id.encode()).hexdigest()[:40]}"
    return f"{stem}.tar.gz"


def target_model(run_id: str, customer_id: str) -> str:
    """Return the key of a customer's model below `models/`: what InvokeEndpoint calls TargetModel."""
    return f"{run_id}/{artifact_name(customer_id)}"
