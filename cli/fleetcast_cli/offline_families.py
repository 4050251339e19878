"""What is said of families on the command line, checked before any work."""

import sys
from contextlib import redirect_stdout
from pathlib import Path

from fleetcast_cli.errors import UsageMistake


def check_families(families: str) -> str:
    """Return a list of families as the containers read it; a user's own have been imported.

    Raises:
        UsageMistake: there is no such family.
    """
    from fleetcast_engine.choice.families import is_of_a_user, parse_families  # noqa: PLC0415  # numpy: 0.1 s
    from fleetcast_engine.choice.registered import load_family  # noqa: PLC0415  # as above
    from fleetcast_engine.errors import UnknownFamily  # noqa: PLC0415  # as above

    if str(Path.cwd()) not in sys.path:
        # As the training job finds them, which Python starts with the folder that it is started in.
        sys.path.append(str(Path.cwd()))
    try:
        for name in filter(is_of_a_user, parse_families(families)):
            with redirect_stdout(sys.stderr):
                load_family(name)
    except UnknownFamily as error:
        raise UsageMistake(f"--families {families!r}: {error}") from error
    return ",".join(name.strip() for name in families.split(","))


def users_own(families: str) -> list[str]:
    """Return the families in a checked list that a user brought."""
    from fleetcast_engine.choice.families import is_of_a_user  # noqa: PLC0415  # numpy: as above

    return list(filter(is_of_a_user, dict.fromkeys(families.split(","))))
