"""Raw files on this machine, prepared by the processing container's own code, in a folder that looks like its own."""

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fleetcast.domain.names import check_customer_id
from fleetcast.errors import SettingError
from fleetcast_cli.errors import CommandFailed, UsageMistake
from fleetcast_cli.intake import Intake, describe_strays
from fleetcast_cli.offline_processes import orderly_end
from fleetcast_cli.output import counted, note
from fleetcast_cli.upload import expand

if TYPE_CHECKING:
    from fleetcast_engine import Series
    from fleetcast_training.batches import CustomerRows

# Whole customers, and so many that opening files takes no time.
_CUSTOMERS_PER_OBJECT = 500
_SUGGESTIONS = 3
_ID_SHOWN = 40
_SHOWN = 10


@dataclass(frozen=True)
class Prepared:
    """What the processing job left.

    Attributes:
        root: the folder that is `/opt/ml` to both containers.
        summary: the job's summary.json.
        places: the files, by the names that the job knows them by.
    """

    root: Path
    summary: Mapping[str, Any]
    places: Mapping[str, Path]

    @property
    def series(self) -> Path:
        return self.root / "processing" / "series"

    def quality(self) -> list[dict[str, Any]]:
        """Return one row per customer of the raw data."""
        packed = (self.root / "processing" / "quality" / "quality.jsonl.gz").read_bytes()
        return [json.loads(line) for line in gzip.decompress(packed).splitlines()]

    def check_ready(self) -> None:
        """Raise CommandFailed where no customer has a usable row."""
        if not self.summary["ready"]:
            read, known = counted(self.summary["rows_read"], "row"), self.summary["customers"]
            raise CommandFailed(
                f"there is no customer with a usable row: {read} of {counted(known, 'customer')} were read; "
                "fleetcast explain DATA --customer ID shows what is wrong with one"
            )

    def fingerprint(self) -> str:
        """Return a digest of the customers and their clean series, whatever the files are called."""
        rows = ((row["customer_id"], row["fingerprint"]) for row in self.quality())
        return hashlib.sha256(json.dumps(sorted(rows)).encode()).hexdigest()

    def customers(self, wanted: Collection[str]) -> "Iterator[CustomerRows]":
        """Yield those of the wanted customers that have usable rows, in the order in which they are stored."""
        from fleetcast_training.channel import Channel  # noqa: PLC0415  # pyarrow: 0.2 s that few commands need

        return (one for one in Channel(self.series).customers() if one.customer_id in wanted)

    def to_document(self) -> dict[str, Any]:
        """Return what was made of the files, for machines."""
        counts = ("customers", "ready", "rows_read", "rows_kept")
        strays = ("rows_without_customer", "rows_without_customer_by_reason")
        return {
            **{name: self.summary[name] for name in counts + strays},
            "files": [
                {
                    "file": str(self.places[file["key"]]),
                    **{name: file[name] for name in ("status", "rows", "reason")},
                }
                for file in self.summary["files"]
            ],
        }


@contextmanager
def workspace() -> Iterator[Path]:
    """Yield a folder that looks like `/opt/ml`; it is removed in the end, even where a signal brings that about."""
    with orderly_end(), tempfile.TemporaryDirectory(prefix=".fleetcast-") as folder:
        yield Path(folder)


def prepare(paths: Sequence[Path], root: Path, run_id: str) -> Prepared:
    """Read CSV and Parquet files, or folders of them, into clean series of one customer each.

    Files that cannot be used, and rows that belong to nobody, are told of.

    Raises:
        UsageMistake: a path does not exist or is no data, a folder holds none, or the environment is wrong.
        CommandFailed: no file can be used.
    """
    files = [file for named in paths for file in expand(named)]
    places = _lay_out(files, root / "processing" / "input" / "raw")
    settings = {"RUN_ID": run_id, "CUSTOMERS_PER_OBJECT": str(_CUSTOMERS_PER_OBJECT)}
    _check_settings(settings)
    done = run_container("fleetcast_processing", root, **settings)
    summary = root / "processing" / "quality" / "summary.json"
    if not summary.exists():
        raise CommandFailed(_in_own_words(_last_words(root, done), places))
    prepared = Prepared(root, json.loads(summary.read_text()), places)
    _tell(prepared)
    return prepared


def _check_settings(settings: Mapping[str, str]) -> None:
    from fleetcast_processing.settings import ProcessingSettings  # noqa: PLC0415  # few commands need it

    told = {f"FLEETCAST_{name}": value for name, value in settings.items()}
    try:
        ProcessingSettings.from_env({**os.environ, **told})
    except SettingError as error:
        raise UsageMistake(str(error)) from error


def _tell(prepared: Prepared) -> None:
    """Say what a person should know of the files; CommandFailed where none can be used."""
    intake, places = Intake.from_summary(dict(prepared.summary)), prepared.places
    rejected = [(places[file["key"]], file["reason"]) for file in intake.rejected_files]
    if len(rejected) == len(places) == 1:
        raise CommandFailed("{} cannot be used: {}".format(*rejected[0]))
    for path, reason in rejected[:_SHOWN]:
        note(f"{path} is left out: {reason}", "yellow")
    for file in intake.noted_files[:_SHOWN]:
        note(f"{places[file['key']]} was read, but: {file['reason']}", "yellow")
    hidden = max(0, len(rejected) - _SHOWN) + max(0, len(intake.noted_files) - _SHOWN)
    if hidden:
        note(f"{counted(hidden, 'more file')} with a remark; --json shows all of them", "yellow")
    if intake.rows_without_customer:
        note(describe_strays(intake), "yellow")
    if len(rejected) == len(places):
        raise CommandFailed(f"none of the {len(places):,} files can be used")


def quality_of(prepared: Prepared, customers: Sequence[str]) -> list[dict[str, Any]]:
    """Return these customers' rows of the quality report, or those of all where none is named.

    Raises:
        UsageMistake: the data does not know a customer.
    """
    rows = {row["customer_id"]: row for row in prepared.quality()}
    for name in customers:
        if name not in rows:
            raise no_such_customer(name, "the data", list(rows))
    return [rows[name] for name in dict.fromkeys(customers or rows)]


def load_series(prepared: Prepared, quality: Mapping[str, Any]) -> "Series":
    """Return the series of a customer by the row of the quality report; NoValidRows where there is none."""
    from pyarrow import parquet  # noqa: PLC0415  # 0.2 s that few commands need

    from fleetcast_engine import Series  # noqa: PLC0415  # numpy: as above
    from fleetcast_engine.errors import NoValidRows  # noqa: PLC0415  # as above

    if quality["object"] is None:
        raise NoValidRows(quality["reason"])
    wanted = [("customer_id", "=", quality["customer_id"])]
    table = parquet.read_table(prepared.series / quality["object"], filters=wanted, use_threads=False)
    moments = table.column("timestamp").to_numpy().astype("datetime64[s]").astype("int64")
    return Series.from_arrays(quality["customer_id"], moments, table.column("consumption").to_numpy())


def run_container(
    module: str, root: Path, *arguments: str, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run a container's entry point to its end, as the container would."""
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env=container_environment(root, **settings),
        capture_output=True,
        text=True,
        check=False,
    )


def container_environment(root: Path, **settings: str) -> dict[str, str]:
    """Return this process's environment with what a container is told in its own."""
    scratch = root / "tmp"
    scratch.mkdir(exist_ok=True)
    told = {f"FLEETCAST_{name}": value for name, value in settings.items()}
    return {**os.environ, "FLEETCAST_ML_ROOT": str(root), "TMPDIR": str(scratch), **told}


def check_customers(named: Sequence[str]) -> list[str]:
    """Return ids that could be a customer's; RequestError where one could not."""
    return [check_customer_id(name) for name in named]


def no_such_customer(wanted: str, where: object, known: Sequence[str]) -> UsageMistake:
    """Say that a customer is not there, and who is."""
    near = get_close_matches(wanted, known, _SUGGESTIONS, 0.5)
    some = [_short(name) for name in near or sorted(known)[:_SUGGESTIONS]]
    if near:
        hint = f"is it {' or '.join(some)}?"
    elif some:
        hint = f"there are, for example, {', '.join(some)}"
    else:
        hint = "there is none at all"
    return UsageMistake(f"{where} knows no customer {_short(wanted)}: {hint}")


def _short(customer: str) -> str:
    return repr(customer if len(customer) <= _ID_SHOWN else f"{customer[:_ID_SHOWN]}…")


def _lay_out(files: Sequence[Path], raw: Path) -> dict[str, Path]:
    """Link the files in the order in which they were named, which decides which duplicate is the last one."""
    places = {}
    for number, file in enumerate(files):
        folder = raw / f"{number:05d}"
        folder.mkdir(parents=True)
        (folder / file.name).symlink_to(file.resolve())
        places[f"raw/{number:05d}/{file.name}"] = file
    return places


def _in_own_words(message: str, places: Mapping[str, Path]) -> str:
    for key, file in places.items():
        message = message.replace(key, str(file))
    return message


def _last_words(root: Path, done: subprocess.CompletedProcess[str]) -> str:
    message = root / "output" / "message"
    lines = (message.read_text(encoding="utf-8") if message.exists() else done.stderr).strip().splitlines()
    return lines[-1] if lines else f"it ended with exit code {done.returncode}"


def free(folder: Path) -> None:
    """Remove a folder of the workspace that is not needed any more."""
    shutil.rmtree(folder, ignore_errors=True)
