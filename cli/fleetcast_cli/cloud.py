"""fleetcast up, down, status: the local cloud, and how a stack is doing."""

from email import message_from_bytes
from email.policy import default as default_policy
from pathlib import Path
from typing import Any

import typer

from fleetcast_cli.options import EnvOption, JsonOption
from fleetcast_cli.output import format_age, print_facts, print_json, say
from fleetcast_cli.project import Environment, Project
from fleetcast_cli.runs import recent_runs, started_at
from fleetcast_cli.session import Cloud
from fleetcast_local import lifecycle


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="The cloud")(up)
    app.command(rich_help_panel="The cloud")(down)
    app.command(rich_help_panel="The cloud")(status)


def up(context: typer.Context) -> None:
    """Start the local cloud; what it knew before is still there.

    Example: fleetcast up
    """
    project = Project.find(context.obj)
    address = lifecycle.up(project.root)
    say(f"The local cloud answers at {address.endpoint_url} (process {address.pid}).")


def down(context: typer.Context) -> None:
    """Stop the local cloud and every process it started; its state stays in .fleetcast/.

    Example: fleetcast down
    """
    stopped = lifecycle.down(Project.find(context.obj).root)
    say(
        "The local cloud is down; its state stays in .fleetcast/."
        if stopped
        else "The local cloud was not up."
    )


def status(
    context: typer.Context, env: EnvOption = Environment.LOCAL, *, as_json: JsonOption = False
) -> None:
    """Say how the cloud, the stack, its endpoint and its last run are doing.

    Example: fleetcast status --env prod
    """
    project = Project.find(context.obj)
    facts = describe(project, env)
    if as_json:
        print_json(facts)
    else:
        print_facts(_in_words(facts))


def describe(project: Project, env: Environment) -> dict[str, Any]:
    facts: dict[str, Any] = {"environment": env.value}
    if env is Environment.LOCAL:
        facts |= _describe_local(project)
        if not facts["cloud"]["running"]:
            return facts
    return facts | _describe_stack(Cloud(project, env))


def _describe_local(project: Project) -> dict[str, Any]:
    state = lifecycle.status(project.root)
    address = state.address if state.running else None
    return {
        "cloud": {
            "running": state.running,
            "detail": state.detail,
            "url": address and address.endpoint_url,
            "pid": address and address.pid,
        },
        "inbox": _describe_inbox(project.inbox),
    }


def _describe_inbox(inbox: Path) -> dict[str, Any]:
    emails = sorted(inbox.glob("*.eml"), key=lambda path: (path.stat().st_mtime_ns, path.name))
    return {
        "path": str(inbox),
        "emails": len(emails),
        "newest": read_subject(emails[-1]) if emails else None,
    }


def read_subject(path: Path) -> str:
    """Return an email's subject, or its first words where SNS gave it a subject that says nothing."""
    email = message_from_bytes(path.read_bytes(), policy=default_policy)
    subject = str(email["Subject"] or "").strip()
    body = email.get_body(("plain",))
    if (subject and subject != "AWS Notification Message") or body is None:
        return subject
    return str(body.get_content()).strip().partition("\n")[0][:120]


def _describe_stack(cloud: Cloud) -> dict[str, Any]:
    stack = cloud.describe_stack()
    facts: dict[str, Any] = {
        "stack": {"name": cloud.settings.stack_name, "status": stack and stack["StackStatus"]},
        "endpoint": None,
        "last_run": None,
    }
    if stack is None or not stack.get("Outputs"):
        return facts
    last = next(iter(recent_runs(cloud, 1)), None)
    return facts | {"api_url": cloud.api_url, "endpoint": _describe_endpoint(cloud), "last_run": last}


def _describe_endpoint(cloud: Cloud) -> dict[str, Any]:
    sagemaker, name = cloud.client("sagemaker"), cloud.outputs.endpoint
    found = sagemaker.list_endpoints(NameContains=name)["Endpoints"]
    status = next((entry["EndpointStatus"] for entry in found if entry["EndpointName"] == name), None)
    return {"name": name, "status": status}


def _in_words(facts: dict[str, Any]) -> dict[str, Any]:
    words: dict[str, Any] = {"Environment": facts["environment"]}
    if "cloud" in facts:
        state = facts["cloud"]
        words["Local cloud"] = (
            f"up at {state['url']}, process {state['pid']}"
            if state["running"]
            else f"not up ({state['detail']}): fleetcast up starts it"
        )
    if "stack" in facts:
        words["Stack"] = _stack_in_words(facts)
        words["API"] = facts.get("api_url")
        words["Endpoint"] = _endpoint_in_words(facts["endpoint"])
        words["Last run"] = _run_in_words(facts["last_run"])
    if "inbox" in facts:
        inbox = facts["inbox"]
        newest = f"; newest: {inbox['newest']}" if inbox["emails"] else ""
        words["Inbox"] = f"{inbox['emails']} emails in {inbox['path']}{newest}"
    return words


def _stack_in_words(facts: dict[str, Any]) -> str:
    stack = facts["stack"]
    if stack["status"] is None:
        return f"{stack['name']} is not deployed: fleetcast deploy --env {facts['environment']}"
    return f"{stack['name']}: {stack['status']}"


def _endpoint_in_words(endpoint: dict[str, Any] | None) -> str | None:
    if endpoint is None:
        return None
    return f"{endpoint['name']}: {endpoint['status'] or 'none yet, the first run makes it'}"


def _run_in_words(run: dict[str, Any] | None) -> str:
    if run is None:
        return "none yet: fleetcast ingest FILE, then fleetcast retrain --wait"
    return f"{run['run_id']} {run['status']}, {format_age(started_at(run))}"
