"""accepting.py - for servers of these tests: serve(), from the first client to the last byte.

SPDX-License-Identifier: Apache-2.0
"""

import collections.abc
import os
import select
import signal
import socket
import threading
import time


def serve(listener: socket.socket, each: collections.abc.Callable[[socket.socket], None], patience: float) -> None:
    """Runs each(s) in a thread for every client until SIGTERM comes.

    Returns once all who had come by then have been served to their ends: clients of a test that
    ends its server are gone, and what they sent before is still counted, however late this process
    gets to it. Whose end never comes is waited for `patience` seconds.
    """
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGTERM, lambda *_: None)
    threads = []
    while True:
        ready, _, _ = select.select([listener, woken], [], [])
        if listener not in ready:
            break
        threads.append(threading.Thread(target=each, args=(listener.accept()[0],), daemon=True))
        threads[-1].start()
    end = time.monotonic() + patience
    for t in threads:
        t.join(max(0.0, end - time.monotonic()))
