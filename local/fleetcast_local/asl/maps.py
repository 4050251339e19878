"""What moto's Map states lack: ItemBatcher, the tolerated failure threshold, and more items than Python's stack."""

import json
from typing import Any

from moto.stepfunctions.parser.api import HistoryEventType, TaskFailedEventDetails
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import (
    FailureEvent,
    FailureEventException,
)
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import (
    StatesErrorNameType,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration import (
    distributed_iteration_component as distributed,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration import (
    inline_iteration_component as inline,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.itemprocessor import (
    distributed_item_processor_worker as distributed_worker,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.iteration_worker import (
    IterationWorker,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.job import JobPool
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails
from moto.stepfunctions.parser.asl.eval.states import ItemData, MapData

# AWS runs at most forty iterations of an inline Map at once; a distributed one's thousands do not fit a laptop.
MAX_INLINE = 40
MAX_DISTRIBUTED = 100

# By execution, then by state: moto's grammar does not know ItemBatcher, so it travels beside the definition.
BATCHERS: dict[str, dict[str, dict[str, Any]]] = {}


def apply() -> None:
    """Repair the Map states of this process's interpreter."""
    IterationWorker._eval_pool = _work_inline
    distributed_worker.DistributedItemProcessorWorker._eval_pool = _work_distributed
    inline.InlineIterationComponent._eval_body = _run_inline
    distributed.DistributedIterationComponent._map_run = _run_distributed


def take_batchers(definition: str) -> tuple[str, dict[str, dict[str, Any]]]:
    """Return the definition without its ItemBatchers, and these by the name of their state."""
    document = json.loads(definition)
    batchers: dict[str, dict[str, Any]] = {}
    _take(document, batchers)
    return json.dumps(document), batchers


def _take(scope: dict[str, Any], batchers: dict[str, dict[str, Any]]) -> None:
    for name, state in scope.get("States", {}).items():
        if "ItemBatcher" in state:
            batchers[name] = state.pop("ItemBatcher")
        for inner in (state.get("ItemProcessor"), state.get("Iterator"), *state.get("Branches", ())):
            if inner:
                _take(inner, batchers)


def _work_inline(worker: Any, job: Any, worker_frame: Any) -> None:
    # moto calls itself once per item; a thousand items exceed the interpreter's stack.
    env, pool = worker._env, worker._job_pool
    while job is not None:
        frame = worker_frame.open_inner_frame()
        worker._eval_job(env=frame, job=job)
        worker_frame.close_frame(frame)
        following = None if isinstance(job.job_output, Exception) or worker.stopped() else pool.next_job()
        if following is None:
            worker_frame.event_history_context.source_event_id = (
                frame.event_history_context.last_published_event_id
            )
            # Before the last job is closed: the Map goes on as soon as its jobs are.
            env.close_frame(worker_frame)
        pool.close_job(job)
        job = following
    env.close_frame(worker_frame)


def _work_distributed(worker: Any, job: Any, worker_frame: Any) -> None:
    pool = worker._job_pool
    while job is not None:
        frame = worker_frame.open_inner_frame()
        worker._eval_job(env=frame, job=job)
        worker_frame.delete_frame(frame)
        pool.close_job(job)
        job = None if worker.stopped() else pool.next_job()


def _run_inline(component: Any, env: Any) -> None:
    request = env.stack.pop()
    env.stack.append(_run_jobs(component, env, request, request.input_items, MAX_INLINE))


def _run_distributed(component: Any, env: Any, eval_input: Any) -> None:
    items = env.stack.pop()
    execution = env.states.context_object.context_object_data["Execution"]["Id"]
    batcher = BATCHERS.get(execution, {}).get(eval_input.state_name)
    if batcher:
        selected = [_select(env, eval_input, index, item) for index, item in enumerate(items)]
        eval_input.item_selector = eval_input.parameters = None
        items = batch(selected, batcher)
    outputs = _run_jobs(component, env, eval_input, items, MAX_DISTRIBUTED)
    _check_failures(env, eval_input, len(items))
    env.stack.append(outputs)


def _run_jobs(component: Any, env: Any, request: Any, items: list[Any], most: int) -> list[Any]:
    pool = JobPool(job_program=component._get_iteration_program(), job_inputs=items)
    for _ in range(min(len(items), request.max_concurrency or most, most)):
        component._launch_worker(env=env, eval_input=request, job_pool=pool)
    pool.await_jobs()
    failure = pool.get_worker_exception()
    if failure is not None:
        raise failure
    return [closed.job_output for closed in pool.get_closed_jobs()]


def _select(env: Any, eval_input: Any, index: int, item: Any) -> Any:
    selector = eval_input.item_selector or eval_input.parameters
    if not selector:
        return item
    frame = env.open_inner_frame()
    frame.states.context_object.context_object_data["Map"] = MapData(Item=ItemData(Index=index, Value=item))
    frame.states.reset(input_value=env.states.get_input())
    frame.stack.append(frame.states.get_input())
    selector.eval(frame)
    env.delete_frame(frame)
    return frame.stack[-1]


def batch(items: list[Any], batcher: dict[str, Any]) -> list[dict[str, Any]]:
    """Group items as ItemBatcher does: by number, by the bytes of their JSON, or both."""
    most = batcher.get("MaxItemsPerBatch") or len(items)
    limit = batcher.get("MaxInputBytesPerBatch") or 256 * 1024
    extra = {"BatchInput": batcher["BatchInput"]} if "BatchInput" in batcher else {}
    batches: list[list[Any]] = []
    size = 0
    for item in items:
        weight = len(json.dumps(item).encode())
        if not batches or len(batches[-1]) >= most or size + weight > limit:
            batches.append([])
            size = 0
        batches[-1].append(item)
        size += weight
    return [{**extra, "Items": members} for members in batches]


def _check_failures(env: Any, eval_input: Any, total: int) -> None:
    failed = eval_input.map_run_record.item_counter.failed.get()
    tolerated = max(
        eval_input.tolerated_failure_count or 0, total * (eval_input.tolerated_failure_percentage or 0) / 100
    )
    if failed <= tolerated:
        return
    name = StatesErrorName(typ=StatesErrorNameType.StatesExceedToleratedFailureThreshold)
    details = TaskFailedEventDetails(
        error=name.error_name,
        cause="The specified tolerated failure threshold was exceeded",
    )
    raise FailureEventException(
        FailureEvent(
            env=env,
            error_name=name,
            event_type=HistoryEventType.TaskFailed,
            event_details=EventDetails(taskFailedEventDetails=details),
        )
    )
