"""The file of rejects."""

from transforms.writing.rejects import is_rejects_file


def test_names_of_files_of_rejects():
    assert is_rejects_file("rejects-00001-of-00002.jsonl")
    for name in (
        "rejects-00001-of-00002.json",
        "rejects-1-of-2.jsonl",
        "a/rejects-00000-of-00001.jsonl",
    ):
        assert not is_rejects_file(name)
