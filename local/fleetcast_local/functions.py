"""Runs Lambda functions as Lambda does: a clean environment, layers, real timeouts, errors that keep their names.

MiniStack goes on keeping the functions and the pool of warm workers; only the worker itself is replaced.
"""

import json
import logging
import os
import queue
import select
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from ministack.core import lambda_runtime
from ministack.services import lambda_svc

from fleetcast_local import layers, processes
from fleetcast_local.guard import local_settings

logger = logging.getLogger("fleetcast.functions")

_WORKER = Path(__file__).with_name("function_worker.py")
# AWS allows ten seconds; an import on a busy laptop needs more than on AWS.
_INIT_SECONDS = 30.0
_LOG_SECONDS = 0.25
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", processes.MARK)
_DEFAULT_TIMEOUT = 3


def install(store: Path) -> None:
    """Make MiniStack run Python functions through PythonWorker, unpacked below the given folder."""
    layers.forget_unused(store)
    PythonWorker.store = store
    lambda_runtime._worker_class_for = _worker_class
    lambda_svc._execute_function_warm = invoke


def invoke(function: dict[str, Any], event: Any, request_id: str) -> dict[str, Any]:
    """Run one invocation on a warm worker, or a new one, and answer in MiniStack's terms."""
    config = function.get("config") or function
    worker, _ = lambda_svc.acquire_worker(
        config["FunctionName"], config, function["code_zip"], qualifier=config.get("Version", "$LATEST")
    )
    lambda_svc._ensure_reaper_thread()
    try:
        answer: dict[str, Any] = worker.run(event, request_id)
        return answer
    finally:
        lambda_svc.release_worker(worker)


class InvocationFailed(Exception):
    """The function's process could not answer; `error` is what Lambda would report."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.error = {"errorType": kind, "errorMessage": message}


class PythonWorker(lambda_runtime.Worker):  # type: ignore[misc]  # MiniStack ships no types
    """One execution environment: a process that has loaded the handler and serves one call at a time."""

    store: Path
    # The base class's names: its pool ends the process through the one and reads the log from the other.
    _proc: Any
    _stderr_queue: "queue.Queue[str]"

    def run(self, event: Any, request_id: str) -> dict[str, Any]:
        with self._lock:
            try:
                if self._proc is None or self._proc.poll() is not None:
                    self._spawn()
                answer = self._call(event, request_id)
            except InvocationFailed as failure:
                self._stop()
                log = "\n".join([*self._log_lines(None), failure.error["errorMessage"]])
                return {"body": failure.error, "error": True, "log": log}
        return answer

    def _call(self, event: Any, request_id: str) -> dict[str, Any]:
        timeout = float(self.config.get("Timeout", _DEFAULT_TIMEOUT))
        trace = lambda_svc._xray_trace_id_for_invocation(self.config)
        end_of_log = f"\x00{request_id}"
        call = {
            "event": event,
            "request_id": request_id,
            "arn": self.config["FunctionArn"],
            "timeout": timeout,
            "end_of_log": end_of_log,
            "environment": {"_X_AMZN_TRACE_ID": trace} if trace else {},
        }
        outcome = self._exchange(call, timeout, request_id)
        log = self._log_lines(end_of_log)
        if "error" not in outcome:
            return {"body": outcome["result"], "log": "\n".join(log)}
        error = {**outcome["error"], "requestId": request_id}
        return {"body": error, "error": True, "log": "\n".join([*log, *_as_log(error)])}

    def _spawn(self) -> None:
        replies, replies_end = os.pipe()
        code, libraries = self._folders()
        self._proc = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_WORKER), str(replies_end)],
            cwd=code,
            env=self._environment(code),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            pass_fds=(replies_end,),
        )
        os.close(replies_end)
        self._proc.stderr = self._proc.stdout
        self._replies = os.fdopen(replies, "rb")
        self._stderr_queue = queue.Queue()
        threading.Thread(target=self._read_stderr, daemon=True).start()
        start = {"paths": [str(path) for path in (code, *libraries)], "handler": self.config["Handler"]}
        outcome = self._exchange(start, _INIT_SECONDS, "init")
        if "error" in outcome:
            raise InvocationFailed(outcome["error"]["errorType"], outcome["error"]["errorMessage"])

    def _exchange(self, message: dict[str, Any], timeout: float, request_id: str) -> dict[str, Any]:
        try:
            self._proc.stdin.write(json.dumps(message) + "\n")
            self._proc.stdin.flush()
        except OSError as error:
            raise self._exited(request_id) from error
        line = _read_line(self._replies, timeout)
        if line is None:
            raise InvocationFailed(
                "Sandbox.Timedout",
                f"RequestId: {request_id} Error: Task timed out after {timeout:.2f} seconds",
            )
        if not line:
            raise self._exited(request_id)
        outcome: dict[str, Any] = json.loads(line)
        return outcome

    def _exited(self, request_id: str) -> InvocationFailed:
        code = self._proc.wait(timeout=5)
        how = f"exit status {code}" if code >= 0 else f"signal: {-code}"
        return InvocationFailed(
            "Runtime.ExitError", f"RequestId: {request_id} Error: Runtime exited with error: {how}"
        )

    def _stop(self) -> None:
        process, self._proc = self._proc, None
        if process is not None:
            process.kill()
            process.wait(timeout=5)
            process.stdin.close()
            self._replies.close()

    def _log_lines(self, end: str | None) -> list[str]:
        lines: list[str] = []
        deadline = time.monotonic() + _LOG_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            try:
                line = self._stderr_queue.get(timeout=left)
            except queue.Empty:
                break
            if line == end:
                break
            lines.append(line)
        return lines

    def _folders(self) -> tuple[Path, list[Path]]:
        code = layers.unpack(self.store, self.code_zip)
        packages = [lambda_svc._resolve_layer_zip(layer) for layer in self.config.get("Layers") or ()]
        return code, layers.path_of(self.store, [package for package in packages if package])

    def _environment(self, code: Path) -> dict[str, str]:
        config = self.config
        name = config["FunctionName"]
        return {
            **{key: os.environ[key] for key in _INHERITED if key in os.environ},
            **(config.get("Environment") or {}).get("Variables", {}),
            **local_settings(os.environ["AWS_ENDPOINT_URL"]),
            "TZ": ":UTC",
            "LAMBDA_TASK_ROOT": str(code),
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{config.get('Runtime', 'python3.11')}",
            "AWS_LAMBDA_FUNCTION_NAME": name,
            "AWS_LAMBDA_FUNCTION_VERSION": config.get("Version", "$LATEST"),
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(config.get("MemorySize", 128)),
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": lambda_svc.new_uuid(),
            # No X-Ray daemon listens here.
            "POWERTOOLS_TRACE_DISABLED": "true",
            "AWS_XRAY_SDK_ENABLED": "false",
        }


def _worker_class(config: dict[str, Any]) -> type:
    if str(config.get("Runtime", "")).startswith("python"):
        return PythonWorker
    raise ValueError(f"the local cloud runs Python functions only, not {config.get('Runtime')}")


def _read_line(stream: Any, timeout: float) -> bytes | None:
    """Return the next line, an empty one at the end of the stream, or None when the time is over."""
    poll = select.poll()
    poll.register(stream, select.POLLIN)
    deadline = time.monotonic() + timeout
    line = b""
    while not line.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            return None
        part = os.read(stream.fileno(), 1 << 20)
        if not part:
            return b""
        line += part
    return line


def _as_log(error: dict[str, Any]) -> list[str]:
    return [
        f"[ERROR] {error['errorType']}: {error['errorMessage']}",
        "Traceback (most recent call last):",
        *[line.rstrip("\n") for line in error.get("stackTrace", [])],
    ]
