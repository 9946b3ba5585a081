"""One process of several: `python peer_alone.py TASK`, with torchrun's variables. What it says, the test reads."""

import sys
import time

import torch
from torch import nn

from scumble.errors import ProcessLostError
from scumble.processes import share_of
from scumble.train.peers import joined

TIMEOUT = 2.0


def main() -> None:
    share = share_of()
    task, is_last = sys.argv[1], share.index == share.count - 1
    try:
        with joined(share, torch.device("cpu"), TIMEOUT) as peers:
            peers.wait("start")
            if task == "dies" and is_last:
                sys.stdout.flush()
                __import__("os")._exit(9)
            if task == "hangs" and is_last:
                time.sleep(60)
            if task == "dies before a wait":
                if is_last:
                    __import__("os")._exit(9)
                peers.wait("end")
            parameters = {name: nn.Parameter(torch.zeros(2, 3)) for name in ("both", "first only", "none")}
            parameters["both"].grad = torch.full((2, 3), float(share.index + 1))
            if share.index == 0:
                parameters["first only"].grad = torch.arange(6.0).view(2, 3)
            as_the_first = peers.as_the_first(0.1 + share.index, torch.device("cpu"))
            total = peers.sum_gradients(parameters, torch.tensor(0.5 + share.index))
            found = {name: None if p.grad is None else p.grad.flatten().tolist() for name, p in parameters.items()}
            print(f"{share.index} {float(total)} {as_the_first} {found}", flush=True)
            if task == "leaves early" and not is_last:
                time.sleep(2 * TIMEOUT)
            if task == "differs" and is_last:
                parameters["both"].data += 1e-3
            peers.refuse_difference(parameters, 0) if task == "differs" else peers.wait("end")
    except ProcessLostError as error:
        print(f"{share.index} lost: {error}", flush=True)
        sys.exit(5)


if __name__ == "__main__":
    main()
