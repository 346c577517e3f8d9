"""Leases: one holder at a time of a place in Cloud Storage, which is free again soon after its death.

A lease is a small object. To make it, to renew it and to take over one that has run out are each one
conditional write, which the store lets only one of several contenders do.
"""

import contextlib
import datetime
import os
import socket
import threading

LEASE_S = 120

_RENEWED_EACH_S = 20


class HeldError(Exception):
    """Somebody else holds the lease."""


class Lease:
    """Takes a lease and renews it, in a thread of its own, until `release`.

    Attributes:
      path: gs:// path of the object.

    Raises:
      HeldError: somebody else has renewed it within the last `LEASE_S` seconds.
      Exception: whatever else the store says.
    """

    def __init__(self, path: str):
        from apache_beam.io.gcp.gcsio import GcsIO, parse_gcs_path

        self.path = path
        bucket, name = parse_gcs_path(path)
        self._bucket = GcsIO().client.bucket(bucket)
        self._blob = self._bucket.blob(name)
        self._writing = threading.Lock()
        self._ended = threading.Event()
        self._take()
        self.renew()  # to make an object and to replace it are different permissions
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()

    def _take(self) -> None:
        try:
            self._write(0)
            return
        except HeldError:
            found = self._bucket.get_blob(self._blob.name)
        if found is not None:
            now = datetime.datetime.now(datetime.timezone.utc)
            if (now - found.updated).total_seconds() < LEASE_S:
                raise HeldError(self.path)
        self._write(found.generation if found is not None else 0)

    def _write(self, generation: int) -> None:
        from google.api_core.exceptions import PreconditionFailed

        holder = f"{socket.gethostname()} {os.getpid()}\n"
        try:
            self._blob.upload_from_string(holder, if_generation_match=generation)
        except PreconditionFailed:
            raise HeldError(self.path) from None

    def renew(self) -> None:
        """Renews the lease.

        Raises:
          HeldError: it had run out, and somebody else has taken it.
          Exception: whatever else the store says.
        """
        with self._writing:
            self._write(self._blob.generation)

    def _keep(self) -> None:
        while not self._ended.wait(_RENEWED_EACH_S):
            with contextlib.suppress(Exception):  # whoever relies on the lease renews it first
                self.renew()

    def release(self) -> None:
        """Frees the place, unless somebody else has it by now."""
        self._ended.set()
        self._thread.join()
        with contextlib.suppress(Exception):  # it runs out by itself
            self._bucket.delete_blob(self._blob.name, if_generation_match=self._blob.generation)
