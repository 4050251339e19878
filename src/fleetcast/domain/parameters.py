"""Every parameter of a stack that can be changed without a deployment: one table, one parser.

The values live in SSM under `/fleetcast/<stack>/<group>/<name>`; `template.yaml` creates them and
`docs/parameters.md` is generated from here.
"""

import itertools
import re
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass

from fleetcast.errors import SettingError

type_names = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
Value = int | float | bool | str


@dataclass(frozen=True)
class Parameter:
    """One row of the table; `low` and `high` are inclusive, `pattern` must match the whole text."""

    name: str
    default: Value
    unit: str
    meaning: str
    low: float | None = None
    high: float | None = None
    pattern: str | None = None

    @property
    def allowed(self) -> str:
        """What a valid value looks like, in words fit for an error or a table."""
        if self.low is not None:
            return f"{type_names[type(self.default)]} from {self.low} to {self.high}"
        return f"text matching {self.pattern}" if self.pattern else type_names[type(self.default)]

    def parse(self, text: str) -> Value:
        """Return the typed value, or raise SettingError naming the parameter, the value and what is allowed."""
        try:
            value = self._convert(text.strip())
        except ValueError:
            value = None
        if value is None or not self._within_bounds(value):
            raise SettingError(f"parameter {self.name} is {text!r}, but must be {self.allowed}")
        return value

    def _convert(self, text: str) -> Value:
        if isinstance(self.default, bool):
            return {"true": True, "false": False}.get(text.lower()) or _must_be_false(text)
        return type(self.default)(text)

    def _within_bounds(self, value: Value) -> bool:
        if self.low is not None and self.high is not None and not isinstance(value, str):
            return self.low <= value <= self.high
        return self.pattern is None or re.fullmatch(self.pattern, str(value)) is not None


def _must_be_false(text: str) -> bool:
    if text.lower() != "false":
        raise ValueError(text)
    return False


_INSTANCE = r"ml\.[a-z0-9]+\.[a-z0-9]+"
_COLUMN = r".{1,128}"
_FAMILY = r"(all|naive|profile|ar|yearly|prophet|[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*)"

PARAMETERS = (
    Parameter("data/customer_column", "customer_id", "", "Column that names the customer", pattern=_COLUMN),
    Parameter("data/timestamp_column", "timestamp", "", "Column that holds the time", pattern=_COLUMN),
    Parameter("data/value_column", "consumption", "", "Column that holds the value", pattern=_COLUMN),
    Parameter(
        "data/time_zone",
        "UTC",
        "IANA name",
        "Zone of timestamps without one",
        pattern=r"[A-Za-z0-9_+/-]{1,64}",
    ),
    Parameter(
        "data/customers_per_object",
        1,
        "customers",
        "Whole customers in one prepared object",
        low=1,
        high=100_000,
    ),
    Parameter(
        "data/max_objects",
        5_000,
        "objects",
        "Above this, customers are grouped by themselves",
        low=1,
        high=100_000,
    ),
    Parameter(
        "data/settle_seconds",
        60,
        "s",
        "Wait after new data or a changed parameter, so that what arrives together is one run",
        low=0,
        high=3_600,
    ),
    Parameter("data/instance_type", "ml.m5.xlarge", "", "Instance of the processing job", pattern=_INSTANCE),
    Parameter("data/volume_gb", 50, "GB", "Disk of the processing job", low=1, high=16_384),
    Parameter("data/max_runtime_seconds", 7_200, "s", "Longest processing job", low=1, high=777_600),
    Parameter(
        "training/horizon",
        28,
        "steps",
        "Steps that the choice is tuned for; never fewer than the frequency's own",
        low=1,
        high=8_784,
    ),
    Parameter(
        "training/origins",
        26,
        "origins",
        "Dates of the past that candidates are compared at; half as many older ones follow",
        low=1,
        high=52,
    ),
    Parameter(
        "training/engine",
        "map",
        "",
        "Who fits Prophet's models: `map`, their posterior's exact maximum, or `prophet`, hundreds of times slower",
        pattern="map|prophet",
    ),
    Parameter(
        "training/families",
        "all",
        "",
        "What may compete for a customer: `all`, `prophet` alone, or a list of families, your own among them",
        pattern=rf"{_FAMILY}(,{_FAMILY})*",
    ),
    Parameter(
        "training/minimum_rows", 14, "rows", "A customer with fewer is `too_short`", low=2, high=100_000
    ),
    Parameter(
        "training/customer_timeout_seconds", 120, "s", "Longest fit of one customer", low=1, high=3_600
    ),
    Parameter(
        "training/customer_memory_mb",
        2_048,
        "MB",
        "Most memory for one customer, 0 for all there is; more is a row that says so",
        low=0,
        high=1_000_000,
    ),
    Parameter(
        "training/instance_type", "ml.m5.xlarge", "", "Instance of the training job", pattern=_INSTANCE
    ),
    Parameter(
        "training/instance_count", 1, "instances", "Hosts the objects are sharded over", low=1, high=100
    ),
    Parameter("training/volume_gb", 30, "GB", "Disk of each training host", low=1, high=16_384),
    Parameter("training/max_runtime_seconds", 14_400, "s", "Longest training job", low=1, high=2_419_200),
    Parameter("training/use_spot", default=True, unit="", meaning="Train on managed spot capacity"),
    Parameter(
        "training/max_wait_seconds",
        28_800,
        "s",
        "Longest wait for spot capacity and training",
        low=60,
        high=2_592_000,
    ),
    Parameter(
        "gate/max_failed_share", 0.1, "share", "A run with more failed customers is rejected", low=0, high=1
    ),
    Parameter(
        "gate/max_error_ratio",
        1.0,
        "ratio",
        "A run whose error against the seasonal naive (geometric mean) is above is rejected; as no customer is given a"
        " model above 1, the default only guards against a broken engine: lower it to ask for more",
        low=0.01,
        high=10,
    ),
    Parameter(
        "gate/minimum_customers",
        1,
        "customers",
        "A run that trained fewer is rejected",
        low=1,
        high=1_000_000,
    ),
    Parameter("serving/instance_type", "ml.m5.large", "", "Instance of the endpoint", pattern=_INSTANCE),
    Parameter("serving/initial_instances", 1, "instances", "Instances of a new endpoint", low=1, high=100),
    Parameter("serving/min_instances", 1, "instances", "Fewest instances", low=1, high=100),
    Parameter("serving/max_instances", 10, "instances", "Most instances", low=1, high=100),
    Parameter(
        "serving/invocations_per_instance",
        30_000,
        "per minute",
        "Load of one instance that autoscaling aims at",
        low=1,
        high=10_000_000,
    ),
    Parameter("serving/scale_out_cooldown_seconds", 60, "s", "Pause after growing", low=0, high=3_600),
    Parameter("serving/scale_in_cooldown_seconds", 300, "s", "Pause after shrinking", low=0, high=3_600),
    Parameter(
        "serving/model_budget_mb",
        2_048,
        "MB",
        "Memory for loaded models per instance",
        low=16,
        high=1_000_000,
    ),
    Parameter("serving/poll_seconds", 30, "s", "Pause between two looks at the endpoint", low=1, high=300),
    Parameter(
        "serving/max_polls", 120, "looks", "After so many the endpoint counts as failed", low=1, high=1_000
    ),
    Parameter(
        "schedule/expression",
        "cron(0 3 ? * MON *)",
        "",
        "When a run starts by itself",
        pattern=r"rate\([1-9]\d* (minute|hour|day)s?\)|cron\((\S+ ){5}\S+\)|at\(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\)",
    ),
    Parameter(
        "schedule/time_zone", "UTC", "IANA name", "Zone of the schedule", pattern=r"[A-Za-z0-9_+/-]{1,64}"
    ),
    Parameter("schedule/state", "ENABLED", "", "Whether the schedule fires", pattern="ENABLED|DISABLED"),
)

BY_NAME = {parameter.name: parameter for parameter in PARAMETERS}


def parse_parameters(texts: Mapping[str, str], group: str = "") -> dict[str, Value]:
    """Return the typed values by name.

    Args:
        texts: what the store holds, by `group/name`.
        group: the one group that is asked for, such as `schedule`; all without it.

    Raises:
        SettingError: a parameter is missing, out of bounds, or contradicts another.
    """
    wanted = {name: parameter for name, parameter in BY_NAME.items() if name.startswith(group)}
    missing = sorted(wanted.keys() - texts.keys())
    if missing:
        raise SettingError(
            f"parameters are missing: {', '.join(missing)}; deploy the stack again to restore them"
        )
    values = {name: parameter.parse(texts[name]) for name, parameter in wanted.items()}
    for name, value in values.items():
        if name.endswith("/time_zone"):
            _check_zone(name, str(value))
    if not group:
        _check_together(values)
    return values


def _check_together(values: Mapping[str, Value]) -> None:
    _check_order(values, "serving/min_instances", "serving/initial_instances", "serving/max_instances")
    if values["training/use_spot"]:
        _check_order(values, "training/max_runtime_seconds", "training/max_wait_seconds")
    columns = [name for name in values if name.endswith("_column")]
    if len({values[name] for name in columns}) < len(columns):
        raise SettingError(f"parameters {', '.join(columns)} must name different columns")


def _check_zone(name: str, zone: str) -> None:
    known = zoneinfo.available_timezones()
    # Where the machine has no zones of its own, nothing can be said; the job that uses the zone will.
    if known and zone not in known:
        raise SettingError(
            f"parameter {name} is {zone!r}, but must be an IANA time zone such as Europe/Berlin"
        )


def _check_order(values: Mapping[str, Value], *names: str) -> None:
    for low, high in itertools.pairwise(names):
        if values[low] > values[high]:  # type: ignore[operator]  # both are numbers: the table says so
            raise SettingError(f"parameter {low} is {values[low]}, above {high}, which is {values[high]}")
