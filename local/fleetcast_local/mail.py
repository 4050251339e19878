"""Delivers SNS e-mail subscriptions as `.eml` files: what a person would have got, readable offline."""

import inspect
import itertools
import json
import logging
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid
from pathlib import Path
from typing import Any

from ministack.services import sns

from fleetcast_local import alarm_mail
from fleetcast_local.layout import REGION, write_atomically

logger = logging.getLogger("fleetcast.mail")

_SENDER = "no-reply@sns.amazonaws.com"
_DEFAULT_SUBJECT = "AWS Notification Message"
_LONGEST_LINE = 990
_PROTOCOLS = ("email", "email-json")
# SNS subjects end at 100 characters: none needs to be folded, and an unfolded one is easier to search for.
_POLICY = SMTP.clone(max_line_length=200)
_sequence = itertools.count(1)


def install(inbox: Path) -> None:
    """Write every message that SNS fans out to an e-mail address into the inbox folder."""
    fan_out = sns._fanout

    parameters = inspect.signature(fan_out)

    def fan_out_and_mail(*given: Any, **named: Any) -> None:
        fan_out(*given, **named)
        bound = parameters.bind(*given, **named)
        bound.apply_defaults()
        try:
            _mail(inbox, bound.arguments)
        except Exception:  # some publishers swallow errors, and a lost alert must not be lost silently
            logger.exception("a message could not be mailed")

    sns._fanout = fan_out_and_mail


def _mail(inbox: Path, message: dict[str, Any]) -> None:
    topic = sns._topic_by_arn_any_scope(message["topic_arn"])
    for subscription in topic["subscriptions"] if topic else []:
        if subscription["protocol"] not in _PROTOCOLS or not subscription.get("confirmed"):
            continue
        text = sns._resolve_message_for_protocol(
            message["message"], message["message_structure"], subscription["protocol"]
        )
        if sns._matches_filter_policy(subscription, message["message_attributes"] or {}, text):
            deliver(inbox, topic, subscription, _notification(message, subscription, text))


def _notification(message: dict[str, Any], subscription: dict[str, Any], text: str) -> "Notification":
    alarm = alarm_mail.alarm_of(text) if subscription["protocol"] == "email" else None
    if alarm is None:
        return Notification(message["msg_id"], message["subject"], text)
    return Notification(message["msg_id"], alarm_mail.subject(alarm), alarm_mail.text(alarm))


@dataclass(frozen=True)
class Notification:
    """One published message, as one subscriber gets it."""

    identity: str
    subject: str
    text: str
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


def deliver(
    inbox: Path, topic: dict[str, Any], subscription: dict[str, Any], notification: Notification
) -> Path:
    """Write one message to one subscriber; the file names sort in the order of delivery."""
    inbox.mkdir(parents=True, exist_ok=True)
    path = inbox / f"{time.time_ns()}-{next(_sequence):05d}.eml"
    write_atomically(path, compose(topic, subscription, notification).as_bytes(policy=_POLICY))
    logger.info("mail to %s: %s", subscription["endpoint"], path.name)
    return path


def compose(topic: dict[str, Any], subscription: dict[str, Any], notification: Notification) -> EmailMessage:
    display = topic.get("attributes", {}).get("DisplayName") or "AWS Notifications"
    message = EmailMessage()
    message["From"] = f'"{display}" <{_SENDER}>'
    message["To"] = subscription["endpoint"]
    message["Subject"] = " ".join((notification.subject or _DEFAULT_SUBJECT).split())
    message["Date"] = format_datetime(notification.at)
    message["Message-ID"] = make_msgid(idstring=notification.identity, domain=f"{REGION}.amazonses.com")
    body = _as_json if subscription["protocol"] == "email-json" else _as_text
    text = body(topic["arn"], subscription, notification)
    # Readable as it lies in the folder, unless a line is longer than a mail may have.
    readable = all(len(line.encode()) <= _LONGEST_LINE for line in text.splitlines())
    message.set_content(text, cte="8bit" if readable else "quoted-printable")
    return message


def _as_text(_topic: str, subscription: dict[str, Any], notification: Notification) -> str:
    return (
        f"{notification.text.rstrip()}\n\n--\n"
        "If you wish to stop receiving notifications from this topic, please click or visit the link below "
        "to unsubscribe:\n"
        f"{_unsubscribe_url(subscription)}\n\n"
        "Please do not reply directly to this email. If you have any questions or comments regarding this "
        "email, please contact us at https://aws.amazon.com/support\n"
    )


def _as_json(topic: str, subscription: dict[str, Any], notification: Notification) -> str:
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
