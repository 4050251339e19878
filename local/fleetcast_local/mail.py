"""Delivers SNS e-mail subscriptions as `.eml` files: what a person would have got, readable offline."""

import itertools
import json
import logging
import time
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid
from pathlib import Path
from typing import Any

from ministack.services import sns

from fleetcast_local.layout import REGION, write_atomically

logger = logging.getLogger("fleetcast.mail")

_SENDER = "no-reply@sns.amazonaws.com"
_DEFAULT_SUBJECT = "AWS Notification Message"
_PROTOCOLS = ("email", "email-json")
_sequence = itertools.count(1)


def install(inbox: Path) -> None:
    """Write every message that SNS fans out to an e-mail address into the inbox folder."""
    fan_out = sns._fanout  # noqa: SLF001

    def fan_out_and_mail(
        topic_arn: str,
        message_id: str,
        message: str,
        subject: str,
        message_structure: str = "",
        message_attributes: dict[str, Any] | None = None,
        **group: str,
    ) -> None:
        fan_out(topic_arn, message_id, message, subject, message_structure, message_attributes, **group)
        topic = sns._topic_by_arn_any_scope(topic_arn)  # noqa: SLF001
        for subscription in topic["subscriptions"] if topic else []:
            if subscription["protocol"] in _PROTOCOLS and subscription.get("confirmed"):
                text = sns._resolve_message_for_protocol(  # noqa: SLF001
                    message, message_structure, subscription["protocol"]
                )
                if sns._matches_filter_policy(subscription, message_attributes or {}, text):  # noqa: SLF001
                    deliver(inbox, topic, subscription, _Notification(message_id, subject, text))

    sns._fanout = fan_out_and_mail  # noqa: SLF001


class _Notification:
    def __init__(self, identity: str, subject: str, text: str) -> None:
        self.identity = identity
        self.subject = subject
        self.text = text
        self.at = datetime.now(UTC)


def deliver(
    inbox: Path, topic: dict[str, Any], subscription: dict[str, Any], notification: _Notification
) -> Path:
    """Write one message to one subscriber; the file names sort in the order of delivery."""
    inbox.mkdir(parents=True, exist_ok=True)
    path = inbox / f"{time.time_ns()}-{next(_sequence):05d}.eml"
    write_atomically(path, compose(topic, subscription, notification).as_bytes(policy=SMTP))
    logger.info("mail to %s: %s", subscription["endpoint"], path.name)
    return path


def compose(topic: dict[str, Any], subscription: dict[str, Any], notification: _Notification) -> EmailMessage:
    name = topic["arn"].rpartition(":")[2]
    display = topic.get("attributes", {}).get("DisplayName") or "AWS Notifications"
    message = EmailMessage()
    message["From"] = f'"{display}" <{_SENDER}>'
    message["To"] = subscription["endpoint"]
    message["Subject"] = " ".join((notification.subject or _DEFAULT_SUBJECT).split())
    message["Date"] = format_datetime(notification.at)
    message["Message-ID"] = make_msgid(idstring=notification.identity, domain=f"{REGION}.amazonses.com")
    message["X-Fleetcast-Topic"] = name
    body = _as_json if subscription["protocol"] == "email-json" else _as_text
    message.set_content(body(topic["arn"], subscription, notification))
    return message


def _as_text(_topic: str, subscription: dict[str, Any], notification: _Notification) -> str:
    return (
        f"{notification.text}\n\n--\n"
        "If you wish to stop receiving notifications from this topic, please click or visit the link below "
        "to unsubscribe:\n"
        f"{_unsubscribe_url(subscription)}\n\n"
        "Please do not reply directly to this email. If you have any questions or comments regarding this "
        "email, please contact us at https://aws.amazon.com/support\n"
    )


def _as_json(topic: str, subscription: dict[str, Any], notification: _Notification) -> str:
    document = {
        "Type": "Notification",
        "MessageId": notification.identity,
        "TopicArn": topic,
        **({"Subject": notification.subject} if notification.subject else {}),
        "Message": notification.text,
        "Timestamp": notification.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "UnsubscribeURL": _unsubscribe_url(subscription),
    }
    return json.dumps(document, indent=2) + "\n"


def _unsubscribe_url(subscription: dict[str, Any]) -> str:
    arn, endpoint = subscription["arn"], subscription["endpoint"]
    return f"https://sns.{REGION}.amazonaws.com/unsubscribe.html?SubscriptionArn={arn}&Endpoint={endpoint}"

