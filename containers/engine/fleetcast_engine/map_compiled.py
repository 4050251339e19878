"""The solver compiled by numba, where numba is installed; the machine code is kept for the next process."""

import fcntl
import hashlib
import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from pathlib import Path
from typing import Any

from fleetcast_engine import map_dense, map_loops, map_rows, map_solver

# What the solver asks for by name: interpreted it comes from map_dense, compiled from these.
LOOPS: dict[str, Callable[..., Any]] = {
    loop.__name__: loop
    for loop in (
        map_rows.statistics,
        map_rows.tilted_statistics,
        map_rows.multiplied_square,
        map_loops.inverse_factor,
        map_loops.lower_times,
        map_loops.transposed_times,
        map_loops.times,
        map_loops.dot,
        map_loops.reduce_hinges,
        map_loops.solve_active,
    )
}
# Sums may be taken in any order, but NaN, infinity and the sign of zero stay what they are.
_OPTIONS = {"fastmath": {"reassoc", "contract", "arcp"}, "error_model": "numpy"}


@cache
def maximum() -> Callable[..., map_solver.Solution]:
    """Return `map_solver.maximum`, compiled if numba is installed."""
    if importlib.util.find_spec("numba") is None:
        return map_solver.maximum
    return _compiled()


def _compiled() -> Callable[..., Any]:
    import numba  # noqa: PLC0415 - it takes half a second, which only fitting should pay
    from numba.extending import overload, register_jitable  # noqa: PLC0415

    for module in (map_loops, map_rows, map_solver):
        for function in list(vars(module).values()):
            if callable(function) and getattr(function, "__module__", "") == module.__name__:
                register_jitable(**_OPTIONS)(function)
    register_jitable(**_OPTIONS)(map_dense.parts)
    for name, loop in LOOPS.items():
        overload(getattr(map_dense, name), jit_options=_OPTIONS)(_always(loop))
    # Read-only in the signature means that both kinds are taken, and that nothing is ever compiled twice.
    floats = numba.types.Array(numba.float64, 1, "C", readonly=True)
    integers = numba.types.Array(numba.int64, 1, "C", readonly=True)
    number, whole = numba.float64, numba.int64
    arguments = (integers, floats, floats, integers, floats, number, whole, number, number, numba.boolean)
    with _kept_in(_folder(), numba.config) as kept:
        solver: Callable[..., Any] = numba.njit([arguments], cache=kept, nogil=True, **_OPTIONS)(
            map_solver.maximum
        )
    return solver


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
    sources = (Path(str(module.__file__)) for module in (map_dense, map_loops, map_rows, map_solver))
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
