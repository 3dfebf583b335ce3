"""Memory of the kernel for one end of an idle connection: `python3 loadtest/kernel_bytes.py [connections]`.

A process of its own dials 10,000 times over loopback. Each socket, of both ends, joins an epoll as a node's does, says 128
bytes and hears 128, and is silent from then on. What the kernel's objects take more (Slab of /proc/meminfo: sockets, files,
their entries in epoll) and its queues (TCP mem of /proc/net/sockstat), is divided by all sockets. Linux, with nobody else
opening sockets or files.
"""

import os
import resource
import select
import socket
import struct
import sys
import time

EDGES = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET


def kernel():
    """Bytes of its objects and of TCP's queues."""
    slab = next(int(line.split()[1]) * 1024 for line in open("/proc/meminfo") if line.startswith("Slab:"))
    tcp = next(line.split() for line in open("/proc/net/sockstat") if line.startswith("TCP:"))
    return slab, int(tcp[tcp.index("mem") + 1]) * os.sysconf("SC_PAGE_SIZE")


def dial(port, connections):
    sockets, epoll = [], select.epoll()
    for _ in range(connections):
        one = socket.create_connection(("127.0.0.1", port))
        # Ends with a reset: thousands in TIME_WAIT would be in the way of the next run.
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        epoll.register(one, EDGES)
        one.sendall(b"x" * 128)
        one.recv(128)
        sockets.append(one)
    return sockets, epoll


def measure(connections):
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    begin, stop = socket.socketpair(), socket.socketpair()
    if os.fork() == 0:
        begin[1].recv(1)
        kept = dial(listener.getsockname()[1], connections)
        begin[1].sendall(b"x")
        stop[1].recv(1)
        os._exit(len(kept) - 2)
    time.sleep(1)
    before = kernel()
    begin[0].sendall(b"x")
    sockets, epoll = [], select.epoll()
    for _ in range(connections):
        sockets.append(listener.accept()[0])
        epoll.register(sockets[-1], EDGES)
        sockets[-1].sendall(sockets[-1].recv(128))
    begin[0].recv(1)
    time.sleep(2)  # what is freed late is freed
    after = kernel()
    stop[0].sendall(b"x")
    os.wait()
    return [(more - less) / len(sockets) / 2 for more, less in zip(after, before)]


connections = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
slab, queues = measure(connections)
print(f"{slab:.0f} bytes a socket in the kernel's objects, {queues:.0f} in queues")
