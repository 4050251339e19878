"""The solver compiled by numba, where numba is installed; the machine code is kept for the next process."""

import fcntl
import hashlib
import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from pathlib import Path
from typing import Any

from fleetcast_engine.prophet.kernel import dense, loops, rows, solver

# What the solver asks for by name: interpreted it comes from dense, compiled from these.
LOOPS: dict[str, Callable[..., Any]] = {
    loop.__name__: loop
    for loop in (
        rows.statistics,
        rows.tilted_statistics,
        rows.multiplied_square,
        loops.inverse_factor,
        loops.lower_times,
        loops.transposed_times,
        loops.times,
        loops.dot,
        loops.reduce_hinges,
        loops.solve_active,
    )
}
# Sums may be taken in any order, but NaN, infinity and the sign of zero stay what they are.
_OPTIONS = {"fastmath": {"reassoc", "contract", "arcp"}, "error_model": "numpy"}


@cache
def maximum() -> Callable[..., solver.Solution]:
    """Return `solver.maximum`, compiled if numba is installed."""
    if importlib.util.find_spec("numba") is None:
        return solver.maximum
    return _compiled()


def _compiled() -> Callable[..., Any]:
    import numba  # noqa: PLC0415 - it takes half a second, which only fitting should pay
    from numba.extending import overload, register_jitable  # noqa: PLC0415

    for module in (loops, rows, solver):
        for function in list(vars(module).values()):
            if callable(function) and getattr(function, "__module__", "") == module.__name__:
                register_jitable(**_OPTIONS)(function)
    register_jitable(**_OPTIONS)(dense.parts)
    for name, loop in LOOPS.items():
        overload(getattr(dense, name), jit_options=_OPTIONS)(_always(loop))
    # Read-only in the signature means that both kinds are taken, and that nothing is ever compiled twice.
    floats = numba.types.Array(numba.float64, 1, "C", readonly=True)
    integers = numba.types.Array(numba.int64, 1, "C", readonly=True)
    number, whole = numba.float64, numba.int64
    arguments = (integers, floats, floats, integers, floats, number, whole, number, number, numba.boolean)
    with _kept_in(_folder(), numba.config) as kept:
        fastest: Callable[..., Any] = numba.njit([arguments], cache=kept, nogil=True, **_OPTIONS)(
            solver.maximum
        )
    return fastest


def _always(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)  # numba compares the signatures
    def choose(*_: Any) -> Callable[..., Any]:
        return function

    return choose


@contextmanager
def _kept_in(folder: Path | None, config: Any) -> Iterator[bool]:
    """Have numba keep machine code in the folder for as long as this lasts, and say whether it does.

    One process at a time: the others wait, and load what the first has compiled.
    """
    if folder is None:
        yield False
        return
    before = config.CACHE_DIR
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        config.CACHE_DIR = str(folder)
        try:
            yield True
        finally:
            config.CACHE_DIR = before


def _folder() -> Path | None:
    """Return a folder for these very sources, beside them if possible; None where nothing can be written.

    numba itself looks at one source file only, and would run yesterday's code of the others.
    """
    sources = (Path(str(module.__file__)) for module in (dense, loops, rows, solver))
    fingerprint = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]
    # Never a folder that others may write to: what lies there is run.
    for parent in (Path(__file__).parent / "__pycache__", Path("~/.cache/fleetcast")):
        try:
            folder = parent.expanduser() / f"map-{fingerprint}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "lock").touch()
        except (OSError, RuntimeError):  # the latter: there is no home
            continue
        return folder
    return None
