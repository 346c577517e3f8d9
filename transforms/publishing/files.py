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
from transforms.publishing.staging import Fate


class LocalFile(LocalDirectory):
    """A file of this machine, of which `LocalDirectory` knows who has taken it."""

    def _check_replaceable(self) -> None:
        if os.path.isdir(self._target):
            raise OutputError(f"{self.output}: is a directory; name a file")

    def prepare(self) -> None:
        """Keeps other runs off the file, until `discard`.

        Raises:
          OutputError: the file can't be written, or another run has it.
        """
        super().prepare()
        self._before = self._state()

    def discard(self) -> Fate:
        """Lets other runs in; returns what became of the file."""
        super().discard()
        return "as it was" if self._state() == self._before else "published"

    def _state(self) -> tuple[int, int] | None:
        """What each writing of the file changes; an inode alone may be used again."""
        if not os.path.exists(self._target):
            return None
        found = os.stat(self._target)
        return found.st_ino, found.st_mtime_ns


class StoredFile(ObjectStore):
    """A file in an object store, of which `ObjectStore` knows who has taken it."""

    def _last_published(self) -> float | None:
        return last_updated(self.output)
