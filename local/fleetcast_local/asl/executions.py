"""Joins moto's interpreter to MiniStack's Step Functions: MiniStack keeps the API and the records."""

import contextvars
import json
import logging
import re
import threading
from collections.abc import Callable
from typing import Any

from ministack.core.responses import now_iso
from ministack.services import stepfunctions as ministack
from moto.stepfunctions.parser.api import HistoryEventType
from moto.stepfunctions.parser.asl.eval.callback.callback import (
    CallbackNotifyConsumerError,
    CallbackOutcomeFailure,
    CallbackOutcomeSuccess,
)

from fleetcast_local import events
from fleetcast_local.answers import Answer, ok, refused
from fleetcast_local.asl import maps, repairs, status_events, sync_tasks, test_state, validation
from fleetcast_local.asl.engine import Machine, Outcome, Run
from fleetcast_local.persistence import StateKeeper

logger = logging.getLogger("fleetcast.executions")

Request = dict[str, Any]

_ABORTED_CAUSE = "the local cloud was stopped while this execution was running"
_NAME = re.compile(r"[^\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]{1,80}")


class _Executions:
    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}
        self.lock = threading.Lock()
        self.frozen = False
        self.aborted: list[dict[str, Any]] = []
        self.keeper: StateKeeper | None = None


_here = _Executions()


def install(keeper: StateKeeper) -> None:
    """Run MiniStack's executions on the repaired interpreter of moto."""
    repairs.apply()
    maps.apply()
    sync_tasks.apply()
    _here.keeper = keeper
    ministack._run_execution = _run
    ministack._emit_execution_status_event = _emit
    ministack._start_execution = _starting(ministack._start_execution)
    ministack._stop_execution = _stopping(ministack._stop_execution)
    ministack._send_task_success = _send_task_success
    ministack._send_task_failure = _send_task_failure
    ministack._send_task_heartbeat = _send_task_heartbeat
    ministack._create_state_machine = _validated(ministack._create_state_machine)
    ministack._update_state_machine = _validated(ministack._update_state_machine)
    ministack._validate_state_machine_definition = _validate
    ministack._test_state = _test_state
    ministack.load_persisted_state = _restoring(ministack.load_persisted_state)


def freeze() -> None:
    """Record nothing more: what fails from now on fails because the cloud is being stopped."""
    _here.frozen = True


def announce_aborted() -> None:
    """Report the executions that the last stop of the cloud aborted; rules and targets are ready only now."""
    for record in _here.aborted:
        _emit(record)
    _here.aborted.clear()


# --- running ---------------------------------------------------------------------------------------------


def _run(execution_arn: str) -> None:
    record = ministack._executions[execution_arn]
    context = contextvars.copy_context()
    with _here.lock:
        if record["status"] != "RUNNING":  # stopped before it began
            return
        run = Run(
            execution_arn,
            record["name"],
            _machine(record["stateMachineArn"]),
            record["input"],
            lambda outcome: context.copy().run(_finish, record, outcome),
        )
        record["events"] = run.events
        _here.runs[execution_arn] = run
    try:
        run.execute()
    finally:
        del _here.runs[execution_arn]


def _machine(arn: str) -> Machine:
    machine = ministack._state_machines[arn]
    return Machine(arn, machine["name"], machine["definition"], machine["roleArn"], machine["type"])


def _finish(record: dict[str, Any], outcome: Outcome) -> None:
    if _here.frozen:
        return
    record["stopDate"] = now_iso()
    record["output"] = outcome.output
    record["error"] = outcome.error
    record["cause"] = outcome.cause
    record["status"] = outcome.status  # last: whoever polls the status may read the rest
    if _here.keeper:
        _here.keeper.touch("states")
    _emit(record)


def _emit(record: dict[str, Any]) -> None:
    if record.get("sync"):
        return
    detail = status_events.detail(record)
    context = contextvars.copy_context()
    arguments = (status_events.SOURCE, status_events.DETAIL_TYPE, detail, [record["executionArn"]])
    # A target may be a function that takes its time; neither the API nor the execution waits for it.
    threading.Thread(target=context.run, args=(events.emit, *arguments), daemon=True).start()


# --- starting and stopping -------------------------------------------------------------------------------


def _starting(start: Callable[[Request], Answer]) -> Callable[[Request], Answer]:
    def start_once(request: Request) -> Answer:
        refusal = _refuse_start(request)
        if refusal:
            return refusal
        same = _same_running(request)
        if same:
            return ok({"executionArn": same["executionArn"], "startDate": same["startDate"]})
        return start(request)

    return start_once


def _refuse_start(request: Request) -> Answer | None:
    name = request.get("name")
    if name is not None and not _NAME.fullmatch(name):
        return refused("InvalidName", f"Invalid Name: '{name}'")
    try:
        json.loads(request.get("input", "{}"))
    except ValueError as error:
        return refused("InvalidExecutionInput", f"Invalid State Machine Execution Input: '{error}'", 400)
    return None


def _same_running(request: Request) -> dict[str, Any] | None:
    """Return the running execution of that name and input: starting it twice is starting it once."""
    machine = ministack._resolve_state_machine_arn(request.get("stateMachineArn", ""))
    if not machine or not request.get("name"):
        return None
    arn = f"{machine.replace(':stateMachine:', ':execution:')}:{request['name']}"
    record: dict[str, Any] | None = ministack._executions.get(arn)
    if record and record["status"] == "RUNNING" and record["input"] == request.get("input", "{}"):
        return record
    return None


def _stopping(stop: Callable[[Request], Answer]) -> Callable[[Request], Answer]:
    def stop_running(request: Request) -> Answer:
        arn = request.get("executionArn", "")
        with _here.lock:
            run = _here.runs.get(arn)
            record = ministack._executions.get(arn)
            if run is None or record["status"] != "RUNNING":
                return stop(request)
        run.stop(request.get("error"), request.get("cause"))
        return ok({"stopDate": record["stopDate"] or now_iso()})

    return stop_running


def _restoring(restore: Callable[[Request], None]) -> Callable[[Request], None]:
    def restore_aborted(state: Request) -> None:
        for record in state["executions"].all_values():
            if record["status"] == "RUNNING":
                _abort(record)
                _here.aborted.append(record)
        restore(state)

    return restore_aborted


def _abort(record: dict[str, Any]) -> None:
    record.update(status="ABORTED", stopDate=now_iso(), error=None, cause=_ABORTED_CAUSE)
    last = record["events"][-1]["id"] if record["events"] else 0
    record["events"].append(
        {
            "id": last + 1,
            "previousEventId": 0,
            "type": HistoryEventType.ExecutionAborted.value,
            "timestamp": record["stopDate"],
            "executionAbortedEventDetails": {"cause": _ABORTED_CAUSE},
        }
    )


# --- task tokens -----------------------------------------------------------------------------------------


def _send_task_success(request: Request) -> Answer:
    token, output = request.get("taskToken", ""), request.get("output", "{}")
    try:
        json.loads(output)
    except ValueError as error:
        return refused("InvalidOutput", f"Invalid Output: '{error}'")
    return _notify(
        token, lambda pool: pool.notify(token, CallbackOutcomeSuccess(callback_id=token, output=output))
    )


def _send_task_failure(request: Request) -> Answer:
    token = request.get("taskToken", "")
    outcome = CallbackOutcomeFailure(
        callback_id=token, error=request.get("error"), cause=request.get("cause")
    )
    return _notify(token, lambda pool: pool.notify(token, outcome))


def _send_task_heartbeat(request: Request) -> Answer:
    token = request.get("taskToken", "")
    return _notify(token, lambda pool: pool.heartbeat(token))


def _notify(token: str, tell: Callable[[Any], bool]) -> Answer:
    if not token:
        return refused("InvalidToken", "Invalid Token: 'Invalid token'")
    try:
        told = any(tell(run.env.callback_pool_manager) for run in list(_here.runs.values()))
    except CallbackNotifyConsumerError:
        told = False
    if not told:
        return refused("TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'", 400)
    return ok({})


# --- definitions -----------------------------------------------------------------------------------------


def _validated(write: Callable[[Request], Answer]) -> Callable[[Request], Answer]:
    def write_if_valid(request: Request) -> Answer:
        faults = validation.diagnose(request["definition"]) if request.get("definition") else []
        if faults:
            return refused("InvalidDefinition", validation.explain(faults))
        return write(request)

    return write_if_valid


def _validate(request: Request) -> Answer:
    faults = validation.diagnose(request.get("definition", ""))
    return ok({"result": "FAIL" if faults else "OK", "diagnostics": faults})


def _test_state(request: Request) -> Answer:
    try:
        return ok(test_state.run(request))
    except ValueError as error:
        return refused("InvalidDefinition", str(error))
