"""A load test's figures are right, and take the same memory however long it goes on."""

import sys
import time

import boto3
import pytest
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st

from fleetcast_cli.load_figures import Errors, Figures, Histogram, Moment, Timeline
from fleetcast_cli.load_instances import Instances
from fleetcast_cli.load_report import Report, as_document, draw, print_report
from fleetcast_cli.load_scenario import Course, Scenario


@given(st.lists(st.integers(0, 3_000_000_000), min_size=1), st.floats(0.01, 1))
def test_a_percentile_is_at_most_one_percent_above_the_true_one(times: list[int], share: float) -> None:
    histogram = Histogram()
    for microseconds in times:
        histogram.add(microseconds)

    # The smallest time that at least this share of all took at most.
    true = next(t for n, t in enumerate(sorted(times), 1) if n >= share * len(times)) / 1000
    found = histogram.percentile(share)
    assert found is not None
    assert true <= found <= true * 1.01
    assert histogram.longest == max(times) / 1000


def test_a_histogram_takes_the_longest_times_and_no_more_memory() -> None:
    histogram = Histogram()
    histogram.add(1)
    size = sys.getsizeof(histogram._buckets)
    histogram.add(10**15)

    assert sys.getsizeof(histogram._buckets) == size
    assert histogram.count == 2


def test_merged_histograms_are_one_of_all_times() -> None:
    both, first, second = Histogram(), Histogram(), Histogram()
    for value in range(1, 1001):
        both.add(value)
        (first if value % 3 else second).add(value)
    first.merge(second)

    assert first._buckets == both._buckets
    assert (first.count, first.largest) == (both.count, both.largest)


def test_without_an_answer_there_is_no_percentile() -> None:
    assert Histogram().percentile(0.5) is None
    assert Histogram().longest is None


def test_a_week_of_moments_is_joined_and_loses_none_of_its_requests() -> None:
    timeline = Timeline()
    for second in range(1, 20_001):
        timeline.add(Moment(float(second), 1.0, 5, second, 1, float(second % 7), 2))

    assert len(timeline.moments) < 600
    assert sum(m.requests for m in timeline.moments) == 20_000 * 20_001 // 2
    assert sum(m.seconds for m in timeline.moments) == 20_000
    assert [m.at for m in timeline.moments] == sorted(m.at for m in timeline.moments)
    assert timeline.moments[-1].at == 20_000
    assert timeline.moments[0].p99 == 6


def test_kinds_of_errors_are_not_kept_without_end() -> None:
    errors = Errors()
    for number in range(1000):
        errors.add(f"kind {number}", "x" * 10_000)

    assert errors.total == 1000
    assert len(errors.counts) == 41
    assert errors.counts["other"] == 960
    assert max(map(len, errors.examples.values())) == 300


def figures(instances: int | None = None) -> Figures:
    figures = Figures()
    for phase in range(2):
        for _ in range(10):
            figures.answered(1000)
        figures.end_moment(phase + 1.0, 1.0, instances)
        figures.begin_hold()
    return figures


def report(figures: Figures, busy: float) -> Report:
    return Report("the API", 3, Scenario(2, 1, 1, 5), figures, Course(1.0, 1.0, busy, interrupted=False))


def test_the_report_says_when_the_client_was_the_limit(capsys: pytest.CaptureFixture[str]) -> None:
    print_report(report(figures(), busy=0.95))
    assert "it was the limit" in capsys.readouterr().err

    print_report(report(figures(), busy=0.5))
    assert "limit" not in capsys.readouterr().err
    assert as_document(report(figures(), busy=0.95), None)["client_is_the_limit"]


def test_instances_are_shown_as_the_least_and_the_most(capsys: pytest.CaptureFixture[str]) -> None:
    grown = figures(1)
    grown.end_moment(3.0, 1.0, 4)

    assert as_document(report(grown, 0.1), None)["instances"] == {"least": 1, "most": 4}
    print_report(report(grown, 0.1))
    assert "1 to 4" in capsys.readouterr().out


def test_the_plot_has_an_axis_from_zero_to_the_end() -> None:
    drawn = draw(figures().timeline.moments, 80, colours=False)

    assert "Answers per second" in drawn
    assert "0.0 s" in drawn
    assert "2.0 s" in drawn


def test_instances_of_all_variants_are_counted_and_a_refusal_changes_nothing() -> None:
    sagemaker = boto3.client(
        "sagemaker", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    described = {
        "EndpointName": "e",
        "EndpointArn": "arn:aws:sagemaker:us-east-1:000000000000:endpoint/e",
        "EndpointStatus": "InService",
        "CreationTime": 0,
        "LastModifiedTime": 0,
        "ProductionVariants": [
            {"VariantName": "a", "CurrentInstanceCount": 2},
            {"VariantName": "b", "CurrentInstanceCount": 1},
        ],
    }
    with Stubber(sagemaker) as stubber:
        stubber.add_response("describe_endpoint", described, {"EndpointName": "e"})
        with Instances(sagemaker, "e") as instances:
            give_up = time.monotonic() + 20
            while instances.now() is None and time.monotonic() < give_up:
                pass
        assert instances.now() == 3

        stubber.add_client_error("describe_endpoint", "ValidationException")
        with Instances(sagemaker, "e") as instances:
            pass
        assert instances.now() is None
        stubber.assert_no_pending_responses()
