"""What a person sees of a run."""

import io

from rich.console import Console

from pipelines import console

STAGES = {
    "read_busy_ms": 1_200,
    "read_rows": 1_234_567,
    "read_bytes": 12_600_000,
    "key_busy_ms": 3_000,
    "key_rows": 0,
    "fold_busy_ms": 3_000,
    "fold_rows": 0,
    "write_busy_ms": 2_800,
    "write_rows": 0,
}


def shown(table):
    out = io.StringIO()
    Console(file=out, width=80).print(table)
    return [line.split() for line in out.getvalue().splitlines()]


def test_stages_are_shown_from_ten_seconds_on():
    assert console.stage_table(STAGES | {"write_busy_ms": 2_799}) is None
    assert shown(console.stage_table(STAGES)) == [
        ["stage", "rows", "MB", "thread", "seconds"],
        ["read", "1,234,567", "13", "1.2"],
        ["key", "0", "0", "3.0"],
        ["fold", "0", "0", "3.0"],
        ["write", "0", "0", "2.8"],
    ]


def test_values_that_were_capped_are_shown_where_there_are_some():
    lines = shown(console.closing_table({"values_capped": 2, "records_written": 6}))
    assert lines == [
        ["values", "capped", "at", "999,999,999", "2"],
        ["records", "written", "6"],
    ]
    assert shown(console.closing_table({})) == [["records", "written", "0"]]
