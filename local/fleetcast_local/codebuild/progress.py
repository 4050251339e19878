"""A build's record while it runs: phases, status, and the events that tell of them."""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from fleetcast_local.records import Record, Records

Emit = Callable[[str, str, dict[str, Any]], None]

logger = logging.getLogger(__name__)

KIND = "Build"


class Progress:
    """Writes down what happens in one build."""

    def __init__(self, records: Records, build_id: str, emit: Emit) -> None:
        self._records = records
        self._id = build_id
        self._emit = emit

    @property
    def log_names(self) -> tuple[str, str]:
        logs = self._record()["logs"]
        return logs["groupName"], logs["streamName"]

    def announce(self) -> None:
        """Tell that the build has begun; what AWS does before a build reaches a machine takes no time here."""
        for phase in ("SUBMITTED", "QUEUED", "PROVISIONING"):
            self.pass_phase(phase)
        self._tell_state()

    def begin_phase(self, name: str) -> None:
        def change(record: Record) -> None:
            record["currentPhase"] = name
            record["phases"].append({"phaseType": name, "startTime": time.time()})

        self._records.change(KIND, self._id, change)

    def end_phase(self, status: str, code: str = "", message: str = "") -> None:
        """End the phase that is running, if one is."""

        def change(record: Record) -> None:
            phase = record["phases"][-1] if record["phases"] else {}
            if phase and "endTime" not in phase:
                ended = time.time()
                phase |= {
                    "phaseStatus": status,
                    "endTime": ended,
                    "durationInSeconds": int(ended - phase["startTime"]),
                    "contexts": [{"statusCode": code, "message": message}],
                }

        self._records.change(KIND, self._id, change)
        self._tell_phase()

    def pass_phase(self, name: str) -> None:
        self.begin_phase(name)
        self.end_phase("SUCCEEDED")

    def exported(self, values: dict[str, str]) -> None:
        listed = [{"name": name, "value": value} for name, value in values.items()]
        self._records.update(KIND, self._id, exportedEnvironmentVariables=listed)

    def finish(self, status: str) -> None:
        """Record the outcome; the last thing that happens to a build."""
        ended = time.time()

        def change(record: Record) -> None:
            record["phases"].append({"phaseType": "COMPLETED", "startTime": ended})
            record |= {
                "currentPhase": "COMPLETED",
                "buildStatus": status,
                "buildComplete": True,
                "endTime": ended,
            }

        self._records.change(KIND, self._id, change)
        self._tell_state()

    def _record(self) -> Record:
        return self._records.get(KIND, self._id) or {}

    def _tell_state(self) -> None:
        record = self._record()
        self._tell(
            "CodeBuild Build State Change",
            {
                "build-status": record["buildStatus"],
                "current-phase": record["currentPhase"],
                "current-phase-context": "[]",
            },
        )

    def _tell_phase(self) -> None:
        phase = self._record()["phases"][-1]
        context = phase["contexts"][0]
        self._tell(
            "CodeBuild Build Phase Change",
            {
                "completed-phase": phase["phaseType"],
                "completed-phase-status": phase["phaseStatus"],
                "completed-phase-duration-seconds": phase["durationInSeconds"],
                "completed-phase-context": f"[{context['statusCode']}: {context['message']}]",
                "completed-phase-start": _readable(phase["startTime"]),
                "completed-phase-end": _readable(phase["endTime"]),
            },
        )

    def _tell(self, detail_type: str, detail: dict[str, Any]) -> None:
        record = self._record()
        common = {
            "project-name": record["projectName"],
            "build-id": record["arn"],
            "version": "1",
            "additional-information": {
                "build-complete": record["buildComplete"],
                "build-number": record["buildNumber"],
                "initiator": record["initiator"],
                "environment": record["environment"],
                "source": record["source"],
                "build-start-time": _readable(record["startTime"]),
                "timeout-in-minutes": record["timeoutInMinutes"],
                "logs": {
                    "group-name": record["logs"]["groupName"],
                    "stream-name": record["logs"]["streamName"],
                    "deep-link": record["logs"]["deepLink"],
                },
                "exported-environment-variables": record["exportedEnvironmentVariables"],
                "phases": [_hyphenated(phase) for phase in record["phases"]],
            },
        }
        try:
            self._emit("aws.codebuild", detail_type, detail | common)
        except Exception:
            logger.exception("An event could not be delivered: %s", detail_type)


def _hyphenated(phase: dict[str, Any]) -> dict[str, Any]:
    names = {
        "phaseType": "phase-type",
        "phaseStatus": "phase-status",
        "durationInSeconds": "duration-in-seconds",
    }
    shown: dict[str, Any] = {new: phase[old] for old, new in names.items() if old in phase}
    shown["phase-context"] = [f"{c['statusCode']}: {c['message']}" for c in phase.get("contexts", [])]
    return shown


def _readable(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%b %d, %Y %I:%M:%S %p}"
