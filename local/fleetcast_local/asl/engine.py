"""One execution on moto's interpreter, with a history that can be read while it runs."""

import copy
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from moto.stepfunctions.parser.api import (
    ExecutionAbortedEventDetails,
    ExecutionFailedEventDetails,
    ExecutionStartedEventDetails,
    ExecutionTimedOutEventDetails,
    HistoryEventExecutionDataDetails,
    HistoryEventType,
    StateMachineType,
)
from moto.stepfunctions.parser.asl.component.eval_component import EvalComponent
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.evaluation_details import AWSExecutionDetails
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails
from moto.stepfunctions.parser.asl.eval.event.event_manager import EventHistoryContext, EventManager
from moto.stepfunctions.parser.asl.eval.program_state import ProgramEnded, ProgramError
from moto.stepfunctions.parser.asl.eval.states import ContextObjectData, ExecutionData, StateMachineData
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.asl.utils.encoding import to_json_str
from moto.stepfunctions.parser.utils import TMP_THREADS

from fleetcast_local.asl import maps
from fleetcast_local.layout import ACCOUNT, REGION

Event = dict[str, Any]


@dataclass(frozen=True)
class Machine:
    """What an execution needs to know of its state machine."""

    arn: str
    name: str
    definition: str
    role_arn: str
    kind: str = "STANDARD"


@dataclass(frozen=True)
class Outcome:
    """How an execution ended."""

    status: str
    output: str | None = None
    error: str | None = None
    cause: str | None = None


class History(EventManager):  # type: ignore[misc]  # moto ships no types
    """Keeps the events as plain JSON in a list that others may read at any time, and takes none after the end."""

    def __init__(self, events: list[Event]) -> None:
        super().__init__()
        self._events = events
        self._closed = False

    def close(self) -> None:
        self._closed = True

    def _publish_history_event(self, **event: Any) -> None:
        # What a thread reports after its execution was stopped or timed out is no longer history.
        if not self._closed:
            self._events.append(json.loads(to_json_str(self._create_history_event(**event))))


class Run:
    """One execution: `execute` blocks until it has ended, `stop` ends it from another thread."""

    def __init__(
        self, arn: str, name: str, machine: Machine, text: str, report: Callable[[Outcome], None]
    ) -> None:
        self.arn = arn
        self.events: list[Event] = []
        self._machine = machine
        self._input = json.loads(text)
        self._report = report
        self._history = History(self.events)
        self._ended = threading.Event()
        self._ending = threading.Lock()
        self.env = self._environment(name)
        self._note(HistoryEventType.ExecutionStarted, executionStartedEventDetails=self._started())

    def execute(self) -> None:
        definition, batchers = maps.take_batchers(self._machine.definition)
        try:
            program = AmazonStateLanguageParser.parse(definition)[0]
        except Exception as error:  # noqa: BLE001 - the parser raises whatever its grammar does
            self._fail("States.Runtime", f"the definition cannot be run: {error}")
            return
        maps.BATCHERS[self.arn] = batchers
        threading.Thread(target=self._evaluate, args=(program,), daemon=True).start()
        limit = program.timeout_seconds.timeout_seconds if program.timeout_seconds else None
        if not self._ended.wait(limit):
            self._end(
                Outcome("TIMED_OUT"),
                HistoryEventType.ExecutionTimedOut,
                executionTimedOutEventDetails=ExecutionTimedOutEventDetails(),
            )
            self.env.set_timed_out()
        maps.BATCHERS.pop(self.arn, None)
        TMP_THREADS[:] = [thread for thread in TMP_THREADS if thread.is_alive()]

    def stop(self, error: str | None, cause: str | None) -> None:
        """End the execution as ABORTED; tasks that wait for a job notice and stop the job."""
        self._end(
            Outcome("ABORTED", error=error, cause=cause),
            HistoryEventType.ExecutionAborted,
            executionAbortedEventDetails=_given(ExecutionAbortedEventDetails, error=error, cause=cause),
        )
        self.env.set_stop(stop_date=datetime.now(UTC), error=error, cause=cause)

    def _evaluate(self, program: Any) -> None:
        self.env.next_state_name = program.start_at.start_at_name
        # Not Program.eval: it would wait for the time limit in a way that nothing can interrupt.
        EvalComponent.eval(program, self.env)
        state = self.env.program_state()
        if isinstance(state, ProgramEnded):
            self._end(Outcome("SUCCEEDED", output=to_json_str(self.env.states.get_input(), (",", ":"))))
        elif isinstance(state, ProgramError):
            details = state.error or {}
            self._end(Outcome("FAILED", error=details.get("error"), cause=details.get("cause")))

    def _fail(self, error: str, cause: str) -> None:
        self._end(
            Outcome("FAILED", error=error, cause=cause),
            HistoryEventType.ExecutionFailed,
            executionFailedEventDetails=ExecutionFailedEventDetails(error=error, cause=cause),
        )

    def _end(self, outcome: Outcome, event: str | None = None, **details: Any) -> None:
        with self._ending:
            if self._ended.is_set():
                return
            if event:
                self._note(event, **details)
            self._history.close()
            self._ended.set()
        self._report(outcome)

    def _note(self, event: str, **details: Any) -> None:
        self._history.add_event(
            context=self.env.event_history_context,
            event_type=event,
            event_details=EventDetails(**details),
            update_source_event_id=event != HistoryEventType.ExecutionStarted,
        )

    def _started(self) -> ExecutionStartedEventDetails:
        return ExecutionStartedEventDetails(
            input=to_json_str(self._input),
            inputDetails=HistoryEventExecutionDataDetails(truncated=False),
            roleArn=self._machine.role_arn,
        )

    def _environment(self, name: str) -> Environment:
        env = Environment(
            aws_execution_details=AWSExecutionDetails(
                account=ACCOUNT, region=REGION, role_arn=self._machine.role_arn
            ),
            execution_type=StateMachineType(self._machine.kind),
            context=ContextObjectData(
                Execution=self._execution_data(name),
                StateMachine=StateMachineData(Id=self._machine.arn, Name=self._machine.name),
            ),
            event_history_context=EventHistoryContext.of_program_start(),
            cloud_watch_logging_session=None,
            activity_store={},
        )
        env.event_manager = self._history
        return env

    def _execution_data(self, name: str) -> ExecutionData:
        started = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return ExecutionData(
            Id=self.arn,
            Input=copy.deepcopy(self._input),
            Name=name,
            RoleArn=self._machine.role_arn,
            StartTime=started,
            RedriveCount=0,
        )


def _given(kind: Any, **values: Any) -> Any:
    return kind(**{name: value for name, value in values.items() if value is not None})
