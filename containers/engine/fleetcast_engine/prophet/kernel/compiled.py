"""The solver compiled by numba, where numba is installed; the machine code is kept for the next process."""

import fcntl
import hashlib
import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from fleetcast_engine.prophet.kernel import dense, loops, rows, solver

# What the solver asks for by name: interpreted it comes from dense, compiled it has these.
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
        loops.plus,
        loops.each_times,
        loops.awake,
        loops.loudest,
        loops.reduce_hinges,
        loops.solve_active,
    )
}
# Sums may be taken in any order, but NaN, infinity and the sign of zero stay what they are.
_OPTIONS = {"fastmath": {"reassoc", "contract", "arcp"}, "error_model": "numpy"}
# What every x86 processor of the last ten years has. Code for it runs, and gives the same numbers, on all of them:
# an image holds it, whatever machine built it.
_BASELINE = "haswell"
_BASELINE_FEATURES = ("avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe", "popcnt", "sse4.2")


@cache
def maximum() -> Callable[..., solver.Solution]:
    """Return `solver.maximum`, compiled if numba is installed."""
    if importlib.util.find_spec("numba") is None:
        return solver.maximum
    return _compiled()


def _compiled() -> Callable[..., Any]:
    import numba  # noqa: PLC0415 - it takes half a second, which only fitting should pay

    _aim_at_baseline(numba.config)
    # Every function is copied into one namespace of compiled ones, where the loops have the names of dense's.
    namespace: dict[str, Any] = {}
    compilable: list[FunctionType] = _functions_of(dense, "parts")
    for module in (loops, rows, solver):
        namespace |= vars(module)
        compilable += _functions_of(module)
    for function in compilable:
        copy = FunctionType(function.__code__, namespace, function.__name__)
        # Nobody but compiled code calls them: without a way in from Python they compile faster.
        namespace[function.__name__] = numba.njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **_OPTIONS)(
            copy
        )
    # Read-only in the signature means that both kinds are taken, and that nothing is ever compiled twice.
    floats = numba.types.Array(numba.float64, 1, "C", readonly=True)
    integers = numba.types.Array(numba.int64, 1, "C", readonly=True)
    table = numba.types.Array(numba.float64, 2, "C", readonly=True)
    number = numba.float64
    of_rows = (integers, floats, floats, integers, table)
    arguments = (*of_rows, floats, floats, numba.boolean, number, integers, number)
    with kept_in(folder(), numba.config) as kept:
        fastest: Callable[..., Any] = numba.njit([arguments], cache=kept, nogil=True, **_OPTIONS)(
            namespace["maximum"].py_func
        )
    return fastest


def _aim_at_baseline(config: Any) -> None:
    """Compile for the baseline where the processor has it; elsewhere for the processor itself, as numba does."""
    from llvmlite.binding import get_host_cpu_features  # noqa: PLC0415 - comes with numba

    features = get_host_cpu_features()
    if all(features.get(name) for name in _BASELINE_FEATURES):
        config.CPU_NAME, config.CPU_FEATURES = _BASELINE, ",".join(f"+{name}" for name in _BASELINE_FEATURES)


def _functions_of(module: ModuleType, *names: str) -> list[FunctionType]:
    found = [value for value in vars(module).values() if isinstance(value, FunctionType)]
    return [f for f in found if f.__module__ == module.__name__ and (not names or f.__name__ in names)]


@contextmanager
def kept_in(home: Path | None, config: Any) -> Iterator[bool]:
    """Have numba keep machine code in the folder for as long as this lasts, and say whether it does.

    One process at a time: the others wait, and load what the first has compiled.
    """
    if home is None:
        yield False
        return
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = config.CACHE_DIR
        config.CACHE_DIR = str(home)
        try:
            yield True
        finally:
            config.CACHE_DIR = before


def folder() -> Path | None:
    """Return a folder for these very sources, beside them if possible; None where nothing can be written.

    numba itself looks at one source file only, and would run yesterday's code of the others.
    """
    sources = (Path(str(module.__file__)) for module in (dense, loops, rows, solver))
    fingerprint = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]
    # Never a folder that others may write to: what lies there is run.
    for parent in (Path(__file__).parent / "__pycache__", Path("~/.cache/fleetcast")):
        try:
            found = parent.expanduser() / f"map-{fingerprint}"
            found.mkdir(parents=True, exist_ok=True)
            (found / "lock").touch()
        except (OSError, RuntimeError):  # the latter: there is no home
            continue
        return found
    return None
