"""The functions as Lambda runs them: the handler's file is loaded, and called with a sample of events/."""

import importlib.util
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.static.answers import ANSWERS

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Context:
    """What the functions and Powertools read of a Lambda context."""

    function_name: str = "function"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:123456789012:function:function"
    aws_request_id: str = "5b3e0c1e-8a4f-4e0e-9f0d-2f6a3f1f7c11"

    def get_remaining_time_in_millis(self) -> int:
        return 28_000


def sample(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((ROOT / "events" / f"{name}.json").read_text())
    return event


def load_function(folder: str) -> ModuleType:
    """Load a handler anew, as a cold start does."""
    spec = importlib.util.spec_from_file_location(
        f"function_{folder}", ROOT / "functions" / folder / "handler.py"
    )
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def invoke(folder: str, event: dict[str, Any]) -> Any:
    return load_function(folder).lambda_handler(event, Context())


def as_known(state: str, answered: Any) -> None:
    """Hold an answer to the shapes that the walk through the machine was made with."""
    json.dumps(answered, allow_nan=False)
    assert answered.keys() in [known.keys() for known in ANSWERS[state]]
