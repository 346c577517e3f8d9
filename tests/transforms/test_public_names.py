import subprocess
import sys

import transforms


def test_every_public_name_is_there():
    for name in transforms.__all__:
        assert getattr(transforms, name).__name__ == name


def test_the_pure_modules_need_no_beam():
    pure = ["batches", "bigquery", "errors", "folding.shard", "reading.formats", "policy"]
    pure += ["writing.records", "keying.sharding", "plumbing.texts", "reading.values"]
    pure += ["reporting.charts", "reporting.durations", "reporting.measures", "reporting.page"]
    code = f"""
import sys, {", ".join(f"transforms.{module}" for module in pure)}
assert not any(name.startswith("apache_beam") for name in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
