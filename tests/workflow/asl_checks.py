"""What a workflow may rely on, as data: a definition, an input, and how AWS would end it.

`${Name}` in a definition stands for a resource that the test makes; `<execution>` in an expected output
for the execution's name.
"""

from dataclasses import dataclass, field
from typing import Any

Json = Any
ANYTHING = object()


@dataclass(frozen=True)
class Check:
    """One execution and its expected end."""

    name: str
    proves: str
    definition: dict[str, Json]
    given: Json = field(default_factory=dict)
    output: Json = ANYTHING
    error: str | None = None
    cause: Json = ANYTHING
    status: str = "SUCCEEDED"
    seconds: tuple[float, float] = (0, 60)


def one(state: dict[str, Json]) -> dict[str, Json]:
    """Return a machine of a single state."""
    return {"StartAt": "Only", "States": {"Only": {**state, "End": True}}}


def passing(**fields: Json) -> dict[str, Json]:
    return {"Type": "Pass", **fields}


def task(resource: str, parameters: Json, **fields: Json) -> dict[str, Json]:
    return {"Type": "Task", "Resource": f"arn:aws:states:::{resource}", "Parameters": parameters, **fields}


def choice(**rule: Json) -> dict[str, Json]:
    return {
        "StartAt": "IsIt",
        "States": {
            "IsIt": {"Type": "Choice", "Choices": [{**rule, "Next": "Yes"}], "Default": "No"},
            "Yes": passing(Result="yes", End=True),
            "No": passing(Result="no", End=True),
        },
    }


def failing(**fields: Json) -> dict[str, Json]:
    return {"StartAt": "Fails", "States": {"Fails": {"Type": "Fail", **fields}}}


def caught(state: dict[str, Json], *errors: str) -> dict[str, Json]:
    """Return a machine whose output is the name of the error that a Catch of the given names received."""
    catch = [{"ErrorEquals": list(errors), "ResultPath": "$.caught", "Next": "Name"}]
    return {
        "StartAt": "Try",
        "States": {
            "Try": {**state, "Catch": catch, "End": True},
            "Name": passing(OutputPath="$.caught.Error", End=True),
        },
    }


_INTRINSICS = {
    "m.$": "States.JsonMerge($.a, $.b, false)",
    "j.$": "States.StringToJson($.s)",
    "t.$": "States.JsonToString($.a)",
    "x.$": "States.MathAdd($.n, 1)",
    "p.$": "States.StringSplit('a,b', ',')",
    "r.$": "States.ArrayRange(1, 5, 2)",
    "pt.$": "States.ArrayPartition($.l, 2)",
    "h.$": "States.Hash('a', 'SHA-256')",
}
_NESTED = "States.Format('{}-{}', $$.Execution.Name, States.ArrayGetItem(States.StringSplit($.d, '-'), 0))"
_AND_NOT = [
    {"Variable": "$.a", "IsPresent": True},
    {"Not": {"Variable": "$.b", "IsPresent": True}},
]
_TWO_BRANCHES = [
    {"StartAt": "A", "States": {"A": passing(Result=1, End=True)}},
    {"StartAt": "B", "States": {"B": passing(Result=2, End=True)}},
]
_INLINE_MAP = {
    "Type": "Map",
    "ItemsPath": "$.l",
    "MaxConcurrency": 2,
    "ItemSelector": {"i.$": "$$.Map.Item.Index", "v.$": "$$.Map.Item.Value"},
    "ItemProcessor": {
        "ProcessorConfig": {"Mode": "INLINE"},
        "StartAt": "A",
        "States": {"A": passing(End=True)},
    },
}

LANGUAGE = [
    Check("string_output", "a state's result may be a bare string", one(passing(Result="yes")), output="yes"),
    Check(
        "choice_on_an_element",
        "$.a[0].v is a value, not a list of one: a list would silently take the Default",
        choice(Variable="$.a[0].v", NumericLessThan=1.0),
        {"a": [{"v": 0.25}]},
        output="yes",
    ),
    Check(
        "choice_float_against_integer",
        "a bound written 1 compares with 0.25",
        choice(Variable="$.a[0].v", NumericLessThan=1),
        {"a": [{"v": 0.25}]},
        output="yes",
    ),
    Check(
        "choice_integer_against_float",
        "a value 0 compares with a bound of 0.5",
        choice(Variable="$.v", NumericLessThan=0.5),
        {"v": 0},
        output="yes",
    ),
    Check(
        "choice_against_a_path",
        "a bound may come from the input",
        choice(Variable="$.v", NumericLessThanPath="$.w"),
        {"v": 0.1, "w": 0.2},
        output="yes",
    ),
    Check(
        "choice_and_not_is_present",
        "null is present, a missing member is not",
        choice(And=_AND_NOT),
        {"a": None},
        output="yes",
    ),
    Check(
        "choice_string_matches",
        "* matches across slashes",
        choice(Variable="$.s", StringMatches="s3://*/model.tar.gz"),
        {"s": "s3://b/k/model.tar.gz"},
        output="yes",
    ),
    Check(
        "choice_boolean",
        "booleans compare",
        choice(Variable="$.s", BooleanEquals=True),
        {"s": True},
        output="yes",
    ),
    Check(
        "intrinsics_of_strings_and_arrays",
        "Format, ArrayLength, ArrayGetItem and ArrayContains",
        one(
            passing(
                Parameters={
                    "f.$": "States.Format('{}/{}', $.a, 2)",
                    "l.$": "States.ArrayLength($.b)",
                    "g.$": "States.ArrayGetItem($.b, 1)",
                    "c.$": "States.ArrayContains($.b, 3)",
                }
            )
        ),
        {"a": "x", "b": [1, 2, 3]},
        output={"f": "x/2", "l": 3, "g": 2, "c": True},
    ),
    Check(
        "intrinsics_of_json_and_numbers",
        "merging, parsing, adding, splitting, ranging, partitioning and hashing",
        one(passing(Parameters=_INTRINSICS)),
        {"a": {"x": 1}, "b": {"y": 2}, "s": '{"q": 1}', "n": 4, "l": [1, 2, 3]},
        output={
            "m": {"x": 1, "y": 2},
            "j": {"q": 1},
            "t": '{"x":1}',
            "x": 5,
            "p": ["a", "b"],
            "r": [1, 3, 5],
            "pt": [[1, 2], [3]],
            "h": "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
        },
    ),
    Check(
        "nested_intrinsics_and_context",
        "intrinsics nest and read the context object",
        one(passing(Parameters={"a.$": _NESTED})),
        {"d": "2026-01-02"},
        output={"a": "<execution>-2026"},
    ),
    Check(
        "path_filter",
        "a filter gives a list even of one match",
        one(passing(Parameters={"a.$": "$.p[?(@.Name=='x')].Value"})),
        {"p": [{"Name": "x", "Value": 1}, {"Name": "y", "Value": 2}]},
        output={"a": [1]},
    ),
    Check(
        "wildcard_and_nested_result_path",
        "a wildcard gives a list; ResultPath makes the members it needs",
        one(passing(Parameters={"a.$": "$.p[*].v"}, ResultPath="$.q.r")),
        {"p": [{"v": 1}, {"v": 2}]},
        output={"p": [{"v": 1}, {"v": 2}], "q": {"r": {"a": [1, 2]}}},
    ),
    Check(
        "input_and_output_path",
        "InputPath narrows what goes in, OutputPath what comes out",
        one(passing(InputPath="$.a", OutputPath="$.b")),
        {"a": {"b": {"c": 1}}},
        output={"c": 1},
    ),
    Check(
        "missing_path",
        "a path that finds nothing fails the execution instead of becoming null",
        one(passing(Parameters={"a.$": "$.nope"})),
        error="States.Runtime",
        status="FAILED",
    ),
    Check(
        "variables",
        "Assign makes a variable that later states read",
        {
            "StartAt": "A",
            "States": {
                "A": passing(Assign={"v.$": "$.x"}, Next="B"),
                "B": passing(Parameters={"r.$": "$v"}, End=True),
            },
        },
        {"x": 7},
        output={"r": 7},
    ),
    Check(
        "fail_with_constants",
        "Fail names its error and cause",
        failing(Error="E", Cause="c"),
        error="E",
        cause="c",
        status="FAILED",
    ),
    Check(
        "fail_with_paths",
        "Fail takes both from the input",
        failing(ErrorPath="$.e", CausePath="$.c"),
        {"e": "E", "c": "cc"},
        error="E",
        cause="cc",
        status="FAILED",
    ),
    Check(
        "fail_passes_on_a_states_error",
        "what a Catch kept may be raised again, States.* included",
        failing(ErrorPath="$.e", CausePath="$.c"),
        {"e": "States.TaskFailed", "c": "cc"},
        error="States.TaskFailed",
        cause="cc",
        status="FAILED",
    ),
    Check("wait_seconds", "Wait really waits", one({"Type": "Wait", "Seconds": 2}), seconds=(1.9, 10)),
    Check(
        "wait_seconds_from_a_path",
        "the waiting time may come from the input",
        one({"Type": "Wait", "SecondsPath": "$.s"}),
        {"s": 1},
        output={"s": 1},
        seconds=(0.9, 10),
    ),
    Check(
        "parallel",
        "branches' results come in the order of the branches",
        one({"Type": "Parallel", "Branches": _TWO_BRANCHES}),
        output=[1, 2],
    ),
    Check(
        "inline_map",
        "items are selected with their index and returned in order",
        one(_INLINE_MAP),
        {"l": ["a", "b"]},
        output=[{"i": 0, "v": "a"}, {"i": 1, "v": "b"}],
    ),
    Check(
        "execution_timeout",
        "the machine's own TimeoutSeconds ends it, whatever state it is in",
        {"TimeoutSeconds": 2, **one({"Type": "Wait", "Seconds": 20})},
        status="TIMED_OUT",
        seconds=(1.9, 10),
    ),
]

_JSONATA_MAP = {
    "Type": "Map",
    "Items": "{% $states.input.l %}",
    "ItemProcessor": {
        "ProcessorConfig": {"Mode": "INLINE"},
        "StartAt": "A",
        "States": {"A": passing(Output="{% $states.input * 2 %}", End=True)},
    },
}
_JSONATA_VARIABLES = {
    "StartAt": "A",
    "States": {
        "A": passing(
            Assign={"v": "{% $states.input.x + 1 %}"}, Output={"o": "{% $states.input.x %}"}, Next="B"
        ),
        "B": passing(
            Output={"v": "{% $v %}", "n": "{% $sum([1,2]) %}", "c": "{% $states.context.State.Name %}"},
            End=True,
        ),
    },
}
_JSONATA_CHOICE = {
    "StartAt": "IsIt",
    "States": {
        "IsIt": {
            "Type": "Choice",
            "Choices": [
                {"Condition": "{% $states.input.loss < 1.0 and $exists($states.input.m) %}", "Next": "Yes"}
            ],
            "Default": "No",
        },
        "Yes": passing(Output="yes", End=True),
        "No": passing(Output="no", End=True),
    },
}

JSONATA = [
    Check(
        "jsonata_output_and_variables",
        "expressions read the input, variables and the context",
        {"QueryLanguage": "JSONata", **_JSONATA_VARIABLES},
        {"x": 1},
        output={"v": 2, "n": 3, "c": "B"},
    ),
    Check(
        "jsonata_choice",
        "a Condition decides",
        {"QueryLanguage": "JSONata", **_JSONATA_CHOICE},
        {"loss": 0.2, "m": 1},
        output="yes",
    ),
    Check(
        "jsonata_map",
        "Items may be an expression",
        {"QueryLanguage": "JSONata", **one(_JSONATA_MAP)},
        {"l": [1, 2]},
        output=[2, 4],
    ),
    Check(
        "jsonata_fail",
        "Error and Cause may be expressions",
        {"QueryLanguage": "JSONata", **failing(Error="{% $states.input.e %}", Cause="{% 'c' %}")},
        {"e": "E"},
        error="E",
        cause="c",
        status="FAILED",
    ),
]
