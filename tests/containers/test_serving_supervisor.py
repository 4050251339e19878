"""The first process: when it gives up, what it waits for, and the code that it ends with."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.containers.serving_support import PATIENCE, free_port, lay_out

_SCRIPT = """
import os, signal, socket, sys, time
from fleetcast_serving.processes.supervisor import Supervisor

def keep(control):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    while control.recv(1):
        pass
    return {keeper}

def work(listener, keeper):
    def leave(*_):
        {leaving}
        os._exit(0)
    signal.signal(signal.SIGTERM, leave)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    {working}

listener = socket.create_server(("127.0.0.1", 0))
signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM,))
os.kill(os.getpid(), signal.{stopped_by})
sys.exit(Supervisor(keep, work, [listener], soon_seconds=60).run())
"""
_WAIT = "signal.pause()"


def supervised(
    *, working: str = _WAIT, leaving: str = "pass", keeper: str = "0", stopped_by: str = "SIGTERM"
) -> tuple[int, str]:
    """Return the exit code and the output of a container whose processes do no more than they are told."""
    script = _SCRIPT.format(working=working, leaving=leaving, keeper=keeper, stopped_by=stopped_by)
    run = subprocess.run(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return run.returncode, run.stdout


def test_an_orderly_end_is_no_error() -> None:
    code, output = supervised()

    assert (code, "ended with" in output) == (0, False)


def test_workers_that_cannot_start_end_the_container() -> None:
    """Starting them for ever would look like a container that is about to become healthy."""
    code, output = supervised(working="os._exit(3)", stopped_by="SIGCHLD")

    assert code == 1
    assert output.count("ended with 3; starting it again") == 5
    assert "workers end as soon as they start; giving up" in output


def test_a_worker_that_crashes_as_it_leaves_is_an_error() -> None:
    code, output = supervised(leaving="os._exit(3)")

    assert code == 1
    assert "ended with 3 before it had answered everything" in output


def test_a_keeper_that_fails_at_the_end_is_an_error() -> None:
    assert supervised(keeper="3")[0] == 1


def test_what_does_not_end_is_killed_and_that_is_an_error() -> None:
    # The alarm that the supervisor sets for itself, early.
    code, _ = supervised(leaving="os.kill(os.getppid(), signal.SIGALRM); signal.pause()")

    assert code == 1


def test_a_keeper_that_dies_while_workers_answer_ends_them_first() -> None:
    """The container ends with its first process, and so that one is the last."""
    find = "open(f'/proc/{os.getppid()}/task/{os.getppid()}/children').read().split()[0]"
    code, output = supervised(leaving=f"os.kill(int({find}), signal.SIGKILL); signal.pause()")

    assert code == 1
    assert "the keeper ended with -9; nothing can be served" in output
    assert "ended with -9 before it had answered everything" in output


@pytest.mark.parametrize("module", ["fleetcast_serving.container", "uvicorn.protocols.http.httptools_impl"])
def test_a_signal_that_comes_before_the_container_is_there_is_obeyed(tmp_path: Path, module: str) -> None:
    """The kernel drops it if it is not held back: a container's first process has no default to die of."""
    lay_out(tmp_path, "x")
    (tmp_path / "x" / "model").rename(tmp_path / "model")
    script = f"""
import os, signal, sys
from fleetcast_serving.__main__ import main

class Early:
    def find_spec(self, name, *_):
        if name == "{module}":
            os.kill(os.getpid(), signal.SIGTERM)

sys.meta_path.insert(0, Early())
sys.exit(main(["serve"]))
"""
    settings = {
        "FLEETCAST_ML_ROOT": str(tmp_path),
        "FLEETCAST_BIND_HOST": "127.0.0.1",
        "SAGEMAKER_BIND_TO_PORT": str(free_port()),
    }
    run = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert run.returncode == 0
    assert "serving on" in run.stdout
