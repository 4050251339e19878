"""The families that may compete for a customer, and how a list of them is written."""

import re

from fleetcast_engine.errors import UnknownFamily

ALL = "all"
NAIVE, PROFILE, AUTOREGRESSION, YEARLY, PROPHET = BUILT_IN = ("naive", "profile", "ar", "yearly", "prophet")
# A model names its members: a dozen of them, in each of two blocks, have to stay a small part of it.
_LONGEST_NAME = 100
_OF_A_USER = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", re.ASCII)


def parse_families(text: str) -> tuple[str, ...]:
    """Return the names in a list separated by commas, each once; "all" stands for the built-in ones.

    Raises:
        UnknownFamily: a name is none of them, nor written as `package.module:attribute`.
    """
    named = [name.strip() for name in text.split(",")]
    for name in named:
        if name not in (ALL, *BUILT_IN) and not is_of_a_user(name):
            raise UnknownFamily(
                f"there is no family {name or repr(name)}; there are {', '.join((ALL, *BUILT_IN))}, "
                f"and your own as package.module:attribute, in {_LONGEST_NAME} characters at most"
            )
    return tuple(dict.fromkeys(each for name in named for each in (BUILT_IN if name == ALL else (name,))))


def is_of_a_user(name: str) -> bool:
    """Return whether a name says where to import a family from."""
    return _OF_A_USER.fullmatch(name) is not None and len(name) <= _LONGEST_NAME
