"""The commands without a cloud, called as a person calls them."""

import json
from typing import Any

from typer.testing import CliRunner, Result

from fleetcast_cli.main import app


def fleetcast(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def answer(*arguments: object) -> Any:
    done = fleetcast(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)
