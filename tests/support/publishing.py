"""An output before and after publishing."""

OLD = {
    "metrics-00000-of-00003.avro": b"old 0",
    "metrics-00001-of-00003.avro": b"old 1",
    "metrics-00002-of-00003.avro": b"old 2",
    "created_date=2024-10-01/metrics-00000-of-00001.avro": b"old day",
    "rejects/rejects-00000-of-00001.jsonl": b"old rejects",
    "metrics-00000-of-00001.avro": b"old, to be replaced",
}


NEW = {
    "metrics-00000-of-00001.avro": b"new",
    "created_date=2024-10-02/metrics-00000-of-00001.avro": b"new day",
}


NEXT = {"metrics-00000-of-00002.avro": b"next 0", "metrics-00001-of-00002.avro": b"next 1"}


USERS = {"notes.txt": b"mine", "sub/deep/mine.csv": b"mine too", "rejects/notes.txt": b"and mine"}


def owned(name: str) -> bool:
    return "metrics-" in name or "rejects-" in name
