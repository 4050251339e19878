"""A toy serving container that keeps the multi-model contract, and its endpoints."""

import io
import json
import os
import tarfile
import time
from typing import Any

import botocore.parsers
import botocore.session
from tests.contract.lab import Lab

from fleetcast_local.sagemaker.service import InvokeResponse

TARGET = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": "endpoint/fleet/variant/AllTraffic",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}
"""The variant of the toys' endpoint, as Application Auto Scaling names it."""

SERVER = """
import json, os, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
BUDGET = int(os.environ.get("BUDGET", "1000"))
LOADING = float(os.environ.get("LOADING", "0"))
VERSION = os.environ.get("VERSION", "1")
ml = Path(os.environ["FLEETCAST_ML_ROOT"])
models, lock = {}, threading.Lock()
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    timeout = float(os.environ.get("KEEPALIVE", "60"))
    def log_message(self, *_): pass
    def answer(self, status, document, **headers):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        custom = self.headers.get("X-Amzn-SageMaker-Custom-Attributes")
        if custom: self.send_header("X-Amzn-SageMaker-Custom-Attributes", custom)
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        if self.path == "/ping":
            return self.answer(200 if VERSION != "sick" else 500, {})
        self.answer(200, {"models": [{"modelName": name} for name in models]})
    def do_DELETE(self):
        with lock: known = models.pop(self.path.split("/")[2], None)
        self.answer(200 if known else 404, {})
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/models":
            request = json.loads(body)
            time.sleep(LOADING)
            with lock:
                if request["model_name"] in models: return self.answer(409, {})
                if len(models) >= BUDGET: return self.answer(507, {"message": "no memory"})
                file = Path(request["url"]) / "model.txt"
                if not file.exists(): return self.answer(500, {"message": "no model.txt"})
                models[request["model_name"]] = file.read_text()
            return self.answer(200, {})
        if self.path == "/invocations":
            content = (ml / "model" / "model.txt").read_text()
        else:
            content = models.get(self.path.split("/")[2])
            if content is None: return self.answer(404, {"message": "not loaded"})
        command, _, argument = body.decode().partition(" ")
        if command == "sleep": time.sleep(float(argument))
        while command == "wait" and not os.path.exists(argument): time.sleep(0.01)
        if command == "crash": os._exit(9)
        if command == "fail": return self.answer(int(argument), {"message": "period is wrong"})
        if command == "forget": models.clear()
        self.answer(200, {"content": content, "version": VERSION, "pid": os.getpid(), "path": self.path,
                          "target": self.headers.get("X-Amzn-SageMaker-Target-Model"), "body": body.decode(),
                          "loaded": len(models), "argv": sys.argv[1:]})
if os.environ.get("EXIT"): sys.exit("cannot start")
while "GATE" in os.environ and not os.path.exists(os.environ["GATE"]): time.sleep(0.02)
class Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True
Server(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()
"""


def tar_gz(content: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        entry = tarfile.TarInfo("model.txt")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content.encode()))
    return buffer.getvalue()


def put_models(lab: Lab, *names: str) -> None:
    for name in names:
        lab.put(f"models/{name}", tar_gz(f"model {name}"))


def multi_model(lab: Lab, name: str = "first", count: int = 1, **environment: str) -> str:
    """Make a model and a configuration of it, and return the configuration's name."""
    image = lab.image(SERVER)
    lab.model(image, name, Mode="MultiModel", ModelDataUrl=lab.uri("models/"), Environment=environment)
    return lab.endpoint_config(name, name, InitialInstanceCount=count)


def serve(lab: Lab, *models: str, count: int = 1, **environment: str) -> dict[str, Any]:
    put_models(lab, *models)
    return lab.endpoint(multi_model(lab, count=count, **environment))


def content(response: InvokeResponse) -> dict[str, Any]:
    assert response.status == 200, response
    document: dict[str, Any] = json.loads(response.body)
    return document


def error(response: InvokeResponse) -> dict[str, Any]:
    """Return the error as botocore reads it."""
    model = botocore.session.get_session().get_service_model("sagemaker-runtime")
    code = response.headers["x-amzn-ErrorType"]
    wire = {
        "status_code": response.status,
        "headers": {k.lower(): v for k, v in response.headers.items()},
        "body": response.body,
    }
    shape = model.shape_for_error_code(code)
    assert shape is not None
    assert shape.metadata["error"]["httpStatusCode"] in {response.status, 400}
    parser = botocore.parsers.create_parser("rest-json")
    known = parser.parse(wire, model.operation_model("InvokeEndpoint").output_shape)["Error"]
    return {"Code": known["Code"], "Sentence": known["Message"], **parser.parse(wire, shape)}


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def timed(call: Any) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started
