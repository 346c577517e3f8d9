"""Patterns of files of this machine."""

import os
import re
import socket
import subprocess
import sys

import pytest

from tests.support.cli import ROOT
from transforms import files
from transforms.errors import InputError
from transforms.patterns import local_files


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Makes files of the working directory, each with its own name in it."""

    def make(*names):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)

    monkeypatch.chdir(tmp_path)
    return make


def found(pattern):
    paths = local_files(pattern)
    assert all(size == os.path.getsize(path) for path, size in paths)
    return [path for path, _ in paths]


def told(pattern):
    with pytest.raises(InputError) as caught:
        local_files(pattern)
    return str(caught.value)


def test_names_of_one_directory(tree, tmp_path):
    tree("b.csv", "a.csv", "a.csv.gz", "A.CSV", "deep/a.csv", "c.json")
    assert found("*.csv") == found("[a-b].csv") == found("?.csv") == ["a.csv", "b.csv"]
    assert found("./*.csv") == ["./a.csv", "./b.csv"]
    others = [f"{tmp_path}/{name}" for name in ("A.CSV", "b.csv", "c.json")]
    assert found(f"{tmp_path}/[!a].*") == others
    assert found("a.csv") == ["a.csv"]
    assert found("a.csv/*") == found("none*") == found("none") == found("none/*.csv") == []
    assert found("*/a.csv") == found("deep/*.csv") == ["deep/a.csv"]


def test_a_directory_in_which_relative_paths_begin(tree, tmp_path, monkeypatch):
    tree("[x]/a.csv", "[x]/y/a.csv", "b.csv")
    monkeypatch.chdir("/")
    begin = str(tmp_path / "[x]")
    for pattern, paths in (
        ("*.csv", ["a.csv"]),
        ("a.csv", ["a.csv"]),
        ("./**/a.csv", ["./a.csv", "./y/a.csv"]),
        ("../*.csv", ["../b.csv"]),
        (f"{tmp_path}/*.csv", [f"{tmp_path}/b.csv"]),
    ):
        assert [path for path, _ in local_files(pattern, begin)] == paths, pattern
    with pytest.raises(InputError, match="y: a directory; name its files"):
        local_files("y", begin)


def test_folders_at_any_depth(tree):
    tree("a.csv", "x/a.csv", "x/y/b.csv", "x/y/c[1].csv", "x/y/d.json", ".hidden/e.csv", "x/.f.csv")
    assert found("**/*.csv") == ["a.csv", "x/a.csv", "x/y/b.csv", "x/y/c[1].csv"]
    assert found("**") == ["a.csv", "x/a.csv", "x/y/b.csv", "x/y/c[1].csv", "x/y/d.json"]
    assert found("x/**/[!a-b]*.csv") == ["x/y/c[1].csv"]
    assert found("x/**/y/?.csv") == found("**/y/[b)].csv") == ["x/y/b.csv"]
    assert found("none/**") == []


def test_links_are_followed(tree):
    tree("log/1/a.csv", "archive/b.csv", "deep/c.csv")
    os.symlink("../archive", "log/2")
    os.symlink("../../archive/b.csv", "log/1/linked.csv")
    assert found("log/*/*.csv") == ["log/1/a.csv", "log/1/linked.csv", "log/2/b.csv"]
    assert found("log/2/*.csv") == ["log/2/b.csv"]
    # A link to a directory around it has nothing new.
    os.symlink("..", "log/around")
    assert found("log/**/*.csv") == [
        "log/1/a.csv",
        "log/1/linked.csv",
        "log/2/b.csv",
        "log/around/archive/b.csv",
        "log/around/deep/c.csv",
    ]


def test_a_link_to_nothing_is_told(tree):
    tree("log/1/a.csv")
    os.symlink("/nowhere/b.csv", "log/1/b.csv")
    line = "log/1/b.csv: a link to /nowhere/b.csv, where nothing is"
    assert told("log/*/*.csv") == told("log/1/b.csv") == told("log/**/*.csv") == line
    os.remove("log/1/b.csv")
    os.symlink("nowhere", "log/2")
    for pattern in ("log/*/*.csv", "log/2/*.csv", "log/**/*.csv"):
        assert told(pattern) == "log/2: a link to nowhere, where nothing is"
    os.remove("log/2")
    os.symlink("2", "log/2")
    assert told("log/*/*.csv") == "log/2: can't be read: Too many levels of symbolic links"


LOOK = """
import os, sys
from transforms.errors import InputError
from transforms.patterns import local_files
if os.geteuid() == 0:
    os.setegid(65534)
    os.seteuid(65534)
for pattern in sys.argv[1:]:
    try:
        print([path for path, _ in local_files(pattern)])
    except InputError as error:
        print(error)
"""


def test_what_may_not_be_read_is_told(tree, tmp_path):
    tree("log/1/a.csv", "log/2/b.csv", "log/3/c.csv", "log/3/d.csv")
    tmp_path.chmod(0o755)
    os.chmod("log/2", 0)
    os.chmod("log/3/d.csv", 0)
    asked = "log/1/*.csv log/*/*.csv log/2/b.csv log/2/* log/** log/3/* log/3/d.csv"
    done = subprocess.run(
        [sys.executable, "-c", LOOK, *asked.split()],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    os.chmod("log/2", 0o755)
    denied = "can't be read: Permission denied"
    assert done.stdout.splitlines() == [
        "['log/1/a.csv']",
        f"log/2/: {denied}",
        f"log/2/b.csv: {denied}",
        f"log/2/: {denied}",
        f"log/2/: {denied}",
        f"log/3/d.csv: {denied}",
        f"log/3/d.csv: {denied}",
    ]


BESIDE = [
    ".x.csv",
    "_SUCCESS",
    "_started_123",
    "_committed_123",
    ".a.csv.crc",
    "a.csv.crc",
    "x_$folder$",
    "_metadata",
    "_common_metadata",
]


def test_hidden_files_and_what_is_beside_a_table_are_passed_over(tree):
    tree("a.csv", "_b.csv", *BESIDE, ".y/c.csv", "_temporary/d.csv", "_delta_log/0.json")
    assert found("*") == found("**") == found("?*") == ["_b.csv", "a.csv"]
    assert found("[a_]*.csv") == found("**/*.csv") == ["_b.csv", "a.csv"]
    assert found("*/*") == []
    for name in BESIDE:
        assert found(name) == [name]
    assert found(".*.csv") == [".x.csv"]
    assert found(".y/*.csv") == found(".*/*.csv") == [".y/c.csv"]
    assert found("_delta_log/*.json") == ["_delta_log/0.json"]


@pytest.mark.parametrize(
    "name",
    [
        "part[1].csv",
        "export\\entries.csv",
        "wh?t.csv",
        "every*.csv",
        "a[",
        "[!a]x",
        "what**ever.csv",
        "a b.csv",
    ],
)
def test_a_file_that_is_there_as_it_is_named_is_read(name, tree):
    tree(name, f"folder {name}/{name}")
    assert found(name) == [name]
    assert found(f"folder {name}/{name}") == [f"folder {name}/{name}"]


def test_brackets_are_a_pattern_where_no_file_has_them(tree):
    tree("part1.csv")
    assert found("part[1].csv") == ["part1.csv"]
    tree("part[1].csv")
    assert found("part[1].csv") == ["part[1].csv"]
    assert found("part[12].csv") == ["part1.csv"]


def test_a_backslash_is_a_letter_of_a_name(tree):
    tree("export\\entries.csv", "a.csv")
    assert found("*.csv") == ["a.csv", "export\\entries.csv"]
    assert found("export?*.csv") == ["export\\entries.csv"]


def test_a_directory_is_told(tree):
    tree("messages.csv/part-0.csv", "log/a.csv")
    line = "messages.csv: a directory; name its files, as messages.csv/*.csv"
    assert told("messages.csv") == told("*.csv") == line
    assert told("messages.csv/") == line.replace("csv:", "csv/:", 1)
    # Nothing is lost with one in which nothing is.
    os.mkdir("log/b.csv")
    assert found("log/*") == ["log/a.csv"]
    assert told("log/b.csv").startswith("log/b.csv: a directory; ")


def test_what_is_no_file_is_told(tree):
    os.mkfifo("pipe.csv")
    line = "pipe.csv: a pipe; write what it gives to a file first"
    assert told("*.csv") == told("pipe.csv") == line
    assert told("/dev/null") == "/dev/null: a device; write what it gives to a file first"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        assert told("socket") == "socket: a socket; write what it gives to a file first"


def test_a_name_that_is_no_utf_8_is_told(tree):
    tree("a.csv")
    with open(b"b\xff.csv", "w"):
        pass
    line = "b?.csv: the bytes of its name are no UTF-8; rename it"
    assert told("*.csv") == told(os.fsdecode(b"b\xff.csv")) == line
    assert found("a*.csv") == ["a.csv"]


def test_a_plain_pattern_does_not_walk_the_tree(tree, monkeypatch):
    tree("a.csv", "deep/er/b.csv")
    looked = []
    original = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: looked.append(path) or original(path))
    assert found("*.csv") == ["a.csv"]
    assert looked == ["."]


def test_an_error_of_the_system_is_one_line(tree):
    assert told("x" * 300) == f"{'x' * 300}: can't be read: File name too long"


def test_a_url_of_a_file(tree, tmp_path):
    tree("a.csv")
    assert files.match(f"file://{tmp_path}/*.csv") == [(f"{tmp_path}/a.csv", 5)]
    line = f"file://{tmp_path}/b.csv: no such file"
    with pytest.raises(InputError, match=f"^{re.escape(line)}$"):
        files.match(f"file://{tmp_path}/b.csv")
