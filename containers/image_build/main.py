"""`containers/build`: one image after the other, each only if its tag is not in ECR yet."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from containers.image_build.errors import BuildError

SOURCES = Path(__file__).resolve().parents[2]


def main(arguments: Sequence[str]) -> int:
    """Build the targets named by the arguments and return the exit code."""
    try:
        from containers.image_build.build import build_all  # noqa: PLC0415 - so that a missing boto3 is a sentence
        from containers.image_build.settings import BuildSettings  # noqa: PLC0415

        build_all(BuildSettings.read(arguments, os.environ), SOURCES)
    except ModuleNotFoundError as error:
        print(f"build: {error}; install it with `{sys.executable} -m pip install boto3`", file=sys.stderr)
        return 1
    except BuildError as error:
        print(f"build: {error}", file=sys.stderr)
        return 1
    return 0
