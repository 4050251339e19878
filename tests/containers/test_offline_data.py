"""What the commands without a cloud tell of data that cannot be used as they are."""

import json
from pathlib import Path

import pytest
from tests.containers.offline_support import fleetcast


@pytest.fixture(scope="module")
def messy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("messy")
    days = [f"2025-{1 + day // 28:02d}-{1 + day % 28:02d}" for day in range(56)]
    good = [f"good,{day},{5 + number % 7}" for number, day in enumerate(days)]
    nobody = [f",{day},1" for day in days[:3]] + ["good,2025-01-01,3,4,5", f"{'x' * 200},2025-01-01,1"]
    bad = [f"bad,{day},none" for day in days]
    rows = ["customer_id,timestamp,consumption", *good, *nobody, *bad, f"caf\xe9,{days[0]},1"]
    (folder / "a.csv").write_bytes("\n".join(rows).encode("latin-1"))
    (folder / "b.csv").write_text("a,b\n1,2\n")
    return folder


def test_what_was_left_out_of_the_data_is_told(messy: Path, tmp_path: Path) -> None:
    """One file that cannot be used is a remark, as it is in the cloud, and not the outcome."""
    done = fleetcast("train", messy, "--models", tmp_path, "--no-tuning", "--json")

    told = " ".join(done.stderr.split())
    assert f"{messy / 'b.csv'} is left out" in told
    assert f"{messy / 'a.csv'} was read, but" in told
    assert "5 rows belong to nobody and were left out" in told
    report = json.loads(done.stdout)["data"]
    assert report["rows_without_customer"] == 5
    assert report["rows_without_customer_by_reason"]["empty"] == 3
    assert [(Path(file["file"]).name, file["status"]) for file in report["files"]] == [
        ("a.csv", "read"),
        ("b.csv", "rejected"),
    ]


def test_a_file_that_cannot_be_used_among_good_ones_is_no_failure(messy: Path, tmp_path: Path) -> None:
    good = tmp_path / "good.csv"
    days = (f"1,2025-01-{day:02d},{day % 7}" for day in range(1, 31))
    good.write_text("\n".join(["customer_id,timestamp,consumption", *days]))

    done = fleetcast("train", messy / "b.csv", good, "--models", tmp_path / "m", "--no-tuning")

    assert done.exit_code == 0
    assert "b.csv is left out" in done.stderr


def test_a_customer_without_a_usable_row_is_explained(messy: Path) -> None:
    for_people = fleetcast("explain", messy, "--customer", "bad")
    for_machines = fleetcast("explain", messy, "--customer", "bad", "--json")

    assert for_people.exit_code == for_machines.exit_code == 1
    assert "56 read, 56 without a usable value" in for_people.stdout
    assert "none of its 56 rows can be used" in for_people.stderr
    assert json.loads(for_machines.stdout)["data"]["bad_values"] == 56


def test_files_that_cannot_be_used_are_each_named(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("a,b\n1,2\n")

    done = fleetcast("backtest", tmp_path)

    assert done.exit_code == 1
    assert "a.csv is left out" in done.stderr
    assert "b.csv is left out" in done.stderr
    assert "none of the 2 files can be used" in done.stderr
