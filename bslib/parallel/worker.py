"""What ``torchrun`` starts on each worker: ``torchrun ... -m bslib.parallel.worker FOLDER``.

The folder's ``call.json`` says which function to call, and with what; each worker leaves
``result-RANK.json`` or ``failed-RANK.txt`` there.
"""

import importlib
import json
import os
import sys
import threading
import time
import traceback
from pathlib import Path

import torch
import torch.distributed

from bslib.parallel.torchrun import gpu_each

POLL_S = 0.5


def main(folder: Path) -> None:
    """Take a place in the process group, call the function, and leave its result."""
    rank = int(os.environ["RANK"])
    _end_with_the_launcher()
    call = json.loads((folder / "call.json").read_text())
    module, name = call["function"]
    own_gpu = gpu_each(int(os.environ["LOCAL_WORLD_SIZE"]))
    try:
        if own_gpu:
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        torch.distributed.init_process_group("nccl" if own_gpu else "gloo")
        result = getattr(importlib.import_module(module), name)(**call["arguments"])
        (folder / f"result-{rank}.json").write_text(json.dumps(result))
        torch.distributed.destroy_process_group()
    except BaseException:
        (folder / f"failed-{rank}.txt").write_text(traceback.format_exc())
        raise


def _end_with_the_launcher() -> None:
    """End this process when its launcher is gone: one that is killed can end nobody."""
    launcher = os.getppid()

    def watch() -> None:
        while os.getppid() == launcher:
            time.sleep(POLL_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    sys.stdout.flush()
    sys.stderr.flush()
    # torch 2.11 aborts in the interpreter's end, on a thread of the process group's.
    os._exit(0)
