"""ports.py free N          prints N loopback TCP ports that nobody listens on
ports.py owned PID PORT...  succeeds when process PID itself listens on every PORT

The first answer can be stale by the time a server binds; the second is how a test knows
that it talks to the server that it started and not to somebody else's.

SPDX-License-Identifier: Apache-2.0
"""

import os
import socket
import sys

LISTEN = "0A"


def free(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]  # held together: no number comes twice
    for s in held:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


def listening(pid: int) -> set[int]:
    """Ports on which a process listens: its socket inodes, looked up in the TCP tables."""
    inodes = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{fd}")
        except FileNotFoundError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[len("socket:[") : -1])
    ports = set()
    for table in ("tcp", "tcp6"):
        with open(f"/proc/{pid}/net/{table}", encoding="ascii") as lines:
            next(lines)
            for line in lines:
                field = line.split()
                if field[3] == LISTEN and field[9] in inodes:
                    ports.add(int(field[1].rsplit(":", 1)[1], 16))
    return ports


def main() -> int:
    command, *numbers = sys.argv[1:]
    if command == "free":
        print(*free(int(numbers[0])))
        return 0
    if command == "owned":
        pid, *ports = map(int, numbers)
        try:
            return 0 if set(ports) <= listening(pid) else 1
        except FileNotFoundError:
            return 1
    sys.exit(__doc__)


if __name__ == "__main__":
    sys.exit(main())
