"""Raw data is never lost: what is under raw/ is known by its content and replaced only when somebody says so."""

import json
from pathlib import Path

import pytest
from tests.conftest import RunningCloud
from tests.unit.cli_stage import Stage, stand_up

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def stage(cloud: RunningCloud) -> Stage:
    return stand_up(cloud)


@pytest.fixture
def january(tmp_path: Path) -> Path:
    path = tmp_path / f"{tmp_path.name}-january.csv"
    path.write_text("customer_id,timestamp,consumption\n1,2024-01-01,5\n")
    return path


def test_a_file_goes_under_raw_by_its_name(stage: Stage, january: Path) -> None:
    (row,) = stage.read("ingest", str(january))

    assert row["key"] == f"raw/{january.name}"
    assert row["result"] == "uploaded"
    assert row["key"] in stage.raw_keys()


def test_the_same_content_again_is_skipped(stage: Stage, january: Path) -> None:
    stage.read("ingest", str(january))

    (row,) = stage.read("ingest", str(january))

    assert row["result"] == "unchanged"


def test_what_another_client_uploaded_is_compared_by_content(stage: Stage, january: Path) -> None:
    stage.put("DataBucketName", f"raw/{january.name}", january.read_bytes())

    (row,) = stage.read("ingest", str(january))

    assert row["result"] == "unchanged"


@pytest.mark.parametrize("other", ["customer_id,timestamp,consumption\n1,2024-01-01,6\n", "shorter\n"])
def test_other_content_is_refused_and_nothing_at_all_is_uploaded(
    stage: Stage, january: Path, other: str
) -> None:
    stage.read("ingest", str(january))
    january.write_text(other)
    innocent = january.with_name(f"innocent-{january.name}")
    innocent.write_text("x\n")

    done = stage.fleetcast("ingest", str(innocent), str(january))

    assert done.exit_code == 3
    assert f"raw/{january.name} with other content" in done.stderr
    assert f"raw/{innocent.name}" not in stage.raw_keys()


def test_replace_replaces(stage: Stage, january: Path) -> None:
    stage.read("ingest", str(january))
    january.write_text("new\n")

    (row,) = stage.read("ingest", str(january), "--replace")

    bucket = stage.outputs["DataBucketName"]
    there = stage.cloud.client("s3").get_object(Bucket=bucket, Key=row["key"])["Body"].read()
    assert (row["result"], there) == ("replaced", b"new\n")


def test_a_folder_is_taken_for_the_data_in_it(stage: Stage, tmp_path: Path) -> None:
    for name in ("a.csv", "b.CSV.GZ", "c.parquet", "readme.md", ".hidden"):
        (tmp_path / f"folder-{name}").write_text("x\n")

    rows = stage.read("ingest", str(tmp_path))

    assert [row["key"] for row in rows] == ["raw/folder-a.csv", "raw/folder-b.CSV.GZ", "raw/folder-c.parquet"]


def test_a_large_file_travels_in_parts_and_arrives_whole(stage: Stage, tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    path.write_bytes(b"0123456789abcde\n" * (3 << 20))

    stage.read("ingest", str(path))
    (again,) = stage.read("ingest", str(path))

    head = stage.cloud.client("s3").head_object(Bucket=stage.outputs["DataBucketName"], Key="raw/large.csv")
    assert head["ContentLength"] == path.stat().st_size
    assert "-" in head["ETag"]
    assert again["result"] == "unchanged"


def test_what_is_no_data_is_refused_by_name(stage: Stage, tmp_path: Path) -> None:
    notes, empty = tmp_path / "notes.txt", tmp_path / "empty"
    notes.write_text("x")
    empty.mkdir()

    for path, sentence in ((notes, "names end in .csv, .csv.gz or .parquet"), (empty, "holds no .csv")):
        done = stage.fleetcast("ingest", str(path))
        assert (done.exit_code, str(path) in done.stderr, sentence in done.stderr) == (2, True, True)


def test_two_files_of_one_name_are_refused(stage: Stage, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same.csv").write_text(folder)

    done = stage.fleetcast("ingest", str(tmp_path / "one"), str(tmp_path / "two" / "same.csv"))

    assert done.exit_code == 2
    assert "would both become raw/same.csv" in done.stderr


def test_a_stack_that_is_not_deployed_is_named_with_the_way_to_deploy_it(stage: Stage, january: Path) -> None:
    done = stage.fleetcast("ingest", str(january), "--env", "dev", env=stage.as_aws())

    assert done.exit_code == 1
    assert "stack cli-absent is not deployed in dev: run fleetcast deploy --env dev" in done.stderr


def test_the_users_aws_settings_never_reach_the_local_cloud(stage: Stage, january: Path) -> None:
    theirs = {
        "AWS_PROFILE": "no-such-profile",
        "AWS_CONFIG_FILE": "/no/such/file",
        "AWS_CA_BUNDLE": "/no/such/bundle",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
        "AWS_USE_FIPS_ENDPOINT": "true",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
    }

    done = stage.fleetcast("ingest", str(january), "--json", env=theirs)

    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)[0]["result"] == "uploaded"
