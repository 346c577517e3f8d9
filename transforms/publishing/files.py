"""An output that is one file, such as a page: `LocalFile`, `StoredFile`.

Nothing is staged for it, as a file appears whole or not at all. But a run takes it by name, so that one
that was left behind does not write it over a later run's:

    with PreparedOutputs([], "4f2a", files=["page.html"]):
        publish_file("page.html", b"...", "4f2a")  # in a worker
"""

import os

from transforms.errors import OutputError
from transforms.files import last_updated
from transforms.publishing.directories import LocalDirectory
from transforms.publishing.object_stores import ObjectStore


class LocalFile(LocalDirectory):
    """A file of this machine, of which `LocalDirectory` knows who has taken it."""

    def _check_replaceable(self) -> None:
        if os.path.isdir(self._target):
            raise OutputError(f"{self.output}: is a directory; name a file")

    def _state(self) -> object:
        # An inode alone may be used again.
        if not os.path.exists(self._target):
            return None
        found = os.stat(self._target)
        return found.st_ino, found.st_mtime_ns


class StoredFile(ObjectStore):
    """A file in an object store, of which `ObjectStore` knows who has taken it."""

    def _last_published(self) -> float | None:
        return last_updated(self.output)
