"""
Runs commands of `sepsis` in forks of a process that has imported everything, and kills them.

Reads one JSON object a line: `argv`; `kill_at`, the number of an operation on files before which the run
kills itself; `kill_after`, seconds after which it is killed from outside. Writes one a line: `status` (the
exit code, or minus the signal), `operations` and `seconds` of runs that ended by themselves.

The imports start no threads, so a fork is safe; calls that start threads happen only in the fork.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

WATCHED = ("open", "os.", "shutil.", "tempfile.")


def main(root: str, log: str) -> None:
    import torch

    import sepsis.models.dtw.knn
    import sepsis.models.networks.mgp_tcn
    import sepsis.pipeline.label
    import sepsis.pipeline.run
    import sepsis.report
    from sepsis.cli import app  # noqa: F401

    sepsis.pipeline.label.label_export.__kwdefaults__["part_stays"] = 12  # a small export has many parts
    print("ready", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            torch.set_num_threads(1)
            run(asked, root, log, writing)
        os.close(writing)
        if asked.get("kill_after") is not None:
            time.sleep(asked["kill_after"])
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        with os.fdopen(reading) as pipe:
            said = pipe.read()
        code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        print(json.dumps({"status": code, **json.loads(said or "{}")}), flush=True)


def run(asked: dict, root: str, log: str, writing: int) -> None:
    """In the fork: one command, with its operations on files under `root` counted."""
    from sepsis.cli import main as command

    count, kill_at = 0, asked.get("kill_at")

    def watch(event: str, arguments: tuple) -> None:
        nonlocal count
        if event.startswith(WATCHED) and any(isinstance(a, str | Path) and root in str(a) for a in arguments):
            count += 1
            if count == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    began, code = time.monotonic(), 0
    for stream in (1, 2):
        os.dup2(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT), stream)
    sys.argv = ["sepsis", *asked["argv"]]
    sys.addaudithook(watch)
    try:
        command()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 99
    sys.stdout.flush()
    sys.stderr.flush()
    os.write(writing, json.dumps({"operations": count, "seconds": time.monotonic() - began}).encode())
    os._exit(code)


if __name__ == "__main__":
    main(*sys.argv[1:])
