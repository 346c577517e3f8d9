"""Runs one command and prints wall and CPU seconds, peak memory and exit status, as JSON.

python -m benchmarks.measure COMMAND ARGUMENT...

This program is a small process on purpose: Linux starts the peak memory of a command with the memory of
its parent. The output of the command goes to standard error.
"""

import json
import os
import sys
import time


def main() -> None:
    command = sys.argv[1:]
    start = time.perf_counter()
    speak_aside = [(os.POSIX_SPAWN_DUP2, 2, 1)]
    pid = os.posix_spawnp(command[0], command, os.environ, file_actions=speak_aside)
    _, status, usage = os.wait4(pid, 0)
    wall_s = time.perf_counter() - start
    unit = 1 if sys.platform == "darwin" else 1024
    taken = {
        "wall_s": round(wall_s, 4),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 4),
        "peak_memory_bytes": usage.ru_maxrss * unit,
        "exit_status": os.waitstatus_to_exitcode(status),
    }
    print(json.dumps(taken))


if __name__ == "__main__":
    main()
