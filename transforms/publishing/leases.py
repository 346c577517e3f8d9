"""Leases: a place in Cloud Storage has one holder at a time, and is free again soon after its death.

A lease is a small object. Making it, renewing it and taking over one that has run out are each a single
conditional write, which the store grants to only one of several contenders.
"""

import contextlib
import datetime
import os
import socket
import threading

from transforms.files import bucket_of

LEASE_S = 120

_RENEWED_EACH_S = 20


class HeldError(Exception):
    """Another process holds the lease."""


class Lease:
    """Takes a lease and renews it, in a thread of its own, until `release`.

    Attributes:
      path: gs:// path of the object.

    Raises:
      HeldError: another process has renewed it within the last `LEASE_S` seconds.
      Exception: the store refuses for another reason.
    """

    def __init__(self, path: str):
        self.path = path
        self._bucket, name = bucket_of(path)
        self._blob = self._bucket.blob(name)
        self._writing = threading.Lock()
        self._ended = threading.Event()
        self._take()
        # Replacing an object needs another permission than making it: a lack is found now.
        self.renew()
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
        """Writes the object if its generation is still this one; 0 if it must not exist."""
        from google.api_core.exceptions import PreconditionFailed

        holder = f"{socket.gethostname()} {os.getpid()}\n"
        try:
            self._blob.upload_from_string(holder, if_generation_match=generation)
        except PreconditionFailed:
            raise HeldError(self.path) from None

    def renew(self) -> None:
        """Renews the lease.

        Raises:
          HeldError: the lease had run out, and another process has taken it.
          Exception: the store refuses for another reason.
        """
        with self._writing:
            self._write(self._blob.generation)

    def _keep(self) -> None:
        while not self._ended.wait(_RENEWED_EACH_S):
            # A failure is found by whoever relies on the lease, and renews it first.
            with contextlib.suppress(Exception):
                self.renew()

    def release(self) -> None:
        """Frees the place, unless another process has it by now."""
        self._ended.set()
        self._thread.join()
        # A lease that can't be deleted runs out by itself.
        with contextlib.suppress(Exception):
            self._bucket.delete_blob(self._blob.name, if_generation_match=self._blob.generation)
