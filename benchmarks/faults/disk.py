"""A small file system that can be filled up, and what lies on it."""

import contextlib
import hashlib
import os
import signal
import subprocess
import sys

FILLER = "filler"


class Disk:
    """A mounted file system of some megabytes.

    Args:
        root: `Path` where it is mounted.
    """

    def __init__(self, root):
        self.root = root

    def fill(self, free):
        """Leaves so many bytes free, up to a page."""
        self.empty()
        status = os.statvfs(self.root)
        size = status.f_bavail * status.f_frsize - free // status.f_frsize * status.f_frsize
        if size > 0:
            with open(self.root / FILLER, "wb") as file:
                os.posix_fallocate(file.fileno(), 0, size)

    def empty(self):
        """Removes what fills it up."""
        (self.root / FILLER).unlink(missing_ok=True)

    def contents(self, folder=None):
        """{name: SHA-256} of all files and folders, hidden ones too, but for the filler."""
        folder = folder or self.root
        found = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.name != FILLER}
        return {
            name: hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
            for name, path in found.items()
        }


@contextlib.contextmanager
def mounted(root, megabytes):
    """A `Disk` inside a `with` block, after which it is unmounted, whatever happens.

    Raises:
        PermissionError: if this process may not mount a file system.
    """
    root.mkdir()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("full_disk.py: stopped"))
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(root)]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        raise PermissionError(f"it mounts a small file system ({error})") from None
    if done.returncode:
        reason = " ".join(done.stderr.split())
        raise PermissionError(
            f"it mounts a small file system, which takes root ({reason}): run it with sudo, or behind "
            "`unshare --map-root-user --mount`"
        )
    try:
        yield Disk(root)
    finally:
        # Lazily, if a process that was killed has not let go of it yet.
        if subprocess.run(["umount", str(root)], capture_output=True).returncode:
            subprocess.run(["umount", "-l", str(root)], check=True)
