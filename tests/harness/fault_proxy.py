"""A TCP proxy for HTTP/1.1 that stands before a real server and does what networks do.

    with FaultProxy("127.0.0.1", 8100) as proxy:
        proxy.fault(lambda request: request.method == "PUT", LoseAnswer(), times=1)
        ... talk to 127.0.0.1:proxy.port ...
        assert proxy.requests[0].method == "PUT"

Requests are read whole, recorded, and forwarded unless a fault says otherwise. A fault is taken by the first request
that its condition is true for, and `times` often (None: always). Faults:

    Reset()             the connection is reset before the request is forwarded
    LoseAnswer()        forwarded and executed; the answer is swallowed and the connection reset
    Status(503, ...)    not forwarded; this answer instead
    StatusAfter(500)    forwarded and executed; this answer instead of the real one
    Truncate(n)         the answer's body is cut after n bytes, then the connection is closed
    Delay(seconds)      the answer comes this much later
    Stall()             forwarded; never answered, the connection stays open
    Edit(function)      the raw answer (bytes) is passed through the function
"""

import socket
import struct
import threading
import time


class Request:
    def __init__(self, head, body):
        self.head, self.body = head, body
        line, *fields = head.decode("latin-1").split("\r\n")
        self.method, self.target, _ = line.split(" ", 2)
        self.headers = {name.strip().lower(): value.strip()
            for name, value in (field.split(":", 1) for field in fields if field)}
        self.path, _, self.query = self.target.partition("?")

    def __repr__(self):
        return f"{self.method} {self.target}"


class Closed(Exception):
    """The connection ends here."""


class Reset:
    def act(self, proxy, request):
        raise Closed

    reset = True


class LoseAnswer(Reset):
    def act(self, proxy, request):
        proxy.forward(request)
        raise Closed


class Status:
    reset = False

    def __init__(self, status, code="", headers=(), body=None):
        self.status, self.headers = status, headers
        self.body = body if body is not None else (
            f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>made by the test</Message></Error>')

    def act(self, proxy, request):
        body = b"" if request.method == "HEAD" else self.body.encode()
        lines = [f"HTTP/1.1 {self.status} Made", f"Content-Length: {len(body)}", *self.headers, "", ""]
        return "\r\n".join(lines).encode() + body


class StatusAfter(Status):
    def act(self, proxy, request):
        proxy.forward(request)
        return super().act(proxy, request)


class Truncate:
    reset = False

    def __init__(self, size):
        self.size = size

    def act(self, proxy, request):
        answer = proxy.forward(request)
        end = answer.index(b"\r\n\r\n") + 4 + self.size
        proxy.last_words.value = True
        return answer[:end]


class Delay:
    reset = False

    def __init__(self, seconds):
        self.seconds = seconds

    def act(self, proxy, request):
        answer = proxy.forward(request)
        proxy.stopping.wait(self.seconds)
        return answer


class Stall(Reset):
    def act(self, proxy, request):
        proxy.stopping.wait()
        raise Closed


class Edit:
    reset = False

    def __init__(self, function):
        self.function = function

    def act(self, proxy, request):
        return self.function(proxy.forward(request))


def read_head(connection, rest=b""):
    while b"\r\n\r\n" not in rest:
        chunk = connection.recv(65536)
        if not chunk:
            raise Closed
        rest += chunk
    head, _, rest = rest.partition(b"\r\n\r\n")
    return head, rest


def read_size(connection, rest, size):
    chunks, have = [rest], len(rest)
    while have < size:
        chunk = connection.recv(min(1 << 20, size - have))
        if not chunk:
            raise Closed
        chunks.append(chunk)
        have += len(chunk)
    return b"".join(chunks)


def content_length(head):
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    return 0


class FaultProxy:
    def __init__(self, host, port):
        self.server = (host, port)
        self.requests, self.rules = [], []
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.last_words = threading.local()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.listener.close()

    def fault(self, condition, fault, times=1):
        with self.lock:
            self.rules.append([condition, fault, times])

    def clear(self):
        with self.lock:
            self.rules.clear()
            self.requests.clear()

    def take(self, request):
        with self.lock:
            self.requests.append(request)
            for rule in self.rules:
                if rule[2] != 0 and rule[0](request):
                    if rule[2] is not None:
                        rule[2] -= 1
                    return rule[1]
        return None

    def accept(self):
        while not self.stopping.is_set():
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        self.last_words.value = False
        rest = b""
        with connection:
            try:
                while not self.last_words.value:
                    head, rest = read_head(connection, rest)
                    size = content_length(head)
                    body = read_size(connection, rest[:size], size)
                    rest = rest[size:]
                    connection.sendall(self.answer(connection, Request(head, body)))
            except (Closed, OSError):
                return

    def answer(self, connection, request):
        fault = self.take(request)
        if fault is None:
            return self.forward(request)
        try:
            return fault.act(self, request)
        except Closed:
            if fault.reset:
                # With a linger time of zero, close() sends a reset.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raise

    def forward(self, request):
        """The real server's whole answer. The Host header stays what was signed."""
        with socket.create_connection(self.server) as server:
            server.settimeout(60)
            lines = [line for line in request.head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
            server.sendall(b"\r\n".join(lines) + b"\r\nConnection: close\r\n\r\n" + request.body)
            chunks = []
            while chunk := server.recv(1 << 20):
                chunks.append(chunk)
        head, _, body = b"".join(chunks).partition(b"\r\n\r\n")
        lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
        return b"\r\n".join(lines) + b"\r\n\r\n" + body


if __name__ == "__main__":
    import sys

    with FaultProxy(sys.argv[1], int(sys.argv[2])) as running:
        print(running.port, flush=True)
        while True:
            time.sleep(3600)
