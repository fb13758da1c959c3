"""What every integration test stands on: the real binary, real writers, real stores, and comparing.

Nothing here knows how seawal works inside. Environment:

    SEAWAL          the binary (default: the newest of build*/ in the tree)
    SEAWAL_SEED     the seed of everything random (default: drawn, and printed when a test fails)
    SEAWAL_NO_S3    set: tests against the S3 server are skipped
    SEAWAL_LONG     set: the long versions
    SEAWAL_SANITIZED  set: the binary has sanitizers, so its memory is not measured
"""
import atexit
import contextlib
import glob
import hashlib
import json
import os
import random
import re
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "harness"))
import workload  # noqa: E402
from s3client import S3Client  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
TREE = os.path.dirname(os.path.dirname(HERE))
LONG = bool(os.environ.get("SEAWAL_LONG"))
SANITIZED = bool(os.environ.get("SEAWAL_SANITIZED"))
SEED = int(os.environ.get("SEAWAL_SEED", random.SystemRandom().getrandbits(31)))

# How long anything that must happen at last may take, in seconds: a machine may be as slow as it likes.
PATIENCE = 300

# The exit codes of the command line.
DONE, FAILED, USAGE, NOT_THERE, COULD_NOT_TELL, DAMAGED = range(6)


def binary():
    """The program under test."""
    if "SEAWAL" in os.environ:
        return os.path.abspath(os.environ["SEAWAL"])
    found = [path for path in glob.glob(os.path.join(TREE, "build*/cmd/seawal/seawal")) if os.access(path, os.X_OK) and os.path.isfile(path)]
    if not found:
        raise unittest.SkipTest("no binary: build it, or set SEAWAL")
    return max(found, key=os.path.getmtime)


_compiled = {}


def compiled(source, *libraries):
    """A C helper of the tests, compiled once per run."""
    if source not in _compiled:
        directory = tempfile.mkdtemp(prefix="seawal-tests-")
        atexit.register(shutil.rmtree, directory, ignore_errors=True)
        target = os.path.join(directory, os.path.basename(source)[:-2])
        subprocess.run([os.environ.get("CC", "cc"), "-std=gnu17", "-O2", "-Wall", "-Wextra", "-o", target,
            os.path.join(HERE, source), *libraries], check=True)
        _compiled[source] = target
    return _compiled[source]


def wait_for(question, seconds=PATIENCE, what="", pause=0.02, until=bool):
    """The first answer of QUESTION that UNTIL takes; AssertionError with the last answer when there is none in time."""
    end = time.monotonic() + seconds
    while True:
        answer = question()
        if until(answer):
            return answer
        if time.monotonic() > end:
            raise AssertionError(
                f"not within {seconds} s: {what or question}; the last answer was {shortened(repr(answer), 400)}")
        time.sleep(pause)


def shortened(text, limit):
    """TEXT without its middle, where it is too long to be read in the record of a failed run."""
    half = limit // 2
    return text if len(text) <= limit else f"{text[:half]} [... {len(text) - 2 * half} characters ...] {text[-half:]}"


def peak_memory(pid):
    """The most memory a process has had so far, in bytes."""
    with open(f"/proc/{pid}/status", encoding="ascii") as lines:
        for line in lines:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


def has_attributes():
    """Whether files of the scratch folders can have extended attributes."""
    with tempfile.NamedTemporaryFile() as probe:
        try:
            os.setxattr(probe.fileno(), "user.probe", b"1")
        except OSError:
            return False
    return True


def parse_fields(line):
    """key=value pairs of a log line; values may be quoted."""
    try:
        words = shlex.split(line)
    except ValueError:  # a line that was being written when the process was killed
        return {}
    return dict(word.split("=", 1) for word in words if "=" in word)


def file_tree(directory):
    """{relative path: content hash} of a folder; what must not change is compared with this."""
    found = {}
    for base, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(base, name)
            with open(path, "rb") as stream:
                found[os.path.relpath(path, directory)] = hashlib.sha256(stream.read()).hexdigest()
    return found


class Result:
    """What a command answered."""

    def __init__(self, arguments, code, out, err):
        self.arguments, self.code, self.out, self.err = arguments, code, out, err

    def __str__(self):
        return f"{' '.join(self.arguments)}\nexit {self.code}\n{self.out}{self.err}"

    @property
    def json(self):
        return json.loads(self.out)


class Replica:
    """A place for a replica, as the tests look at it: keys and bytes below its prefix."""

    kind = url = None
    environment = {}

    def segments(self, level=None):
        """Keys of segments, oldest first, of one level ('0', 'snapshot') or of all."""
        pattern = re.compile(r"[0-9a-f]{8}/(\w+)/[0-9a-f]{16}-[0-9a-f]{16}-\d{13}\.seg$")
        return sorted(key for key in self.keys()
            if (match := pattern.match(key)) and level in (None, match.group(1)))

    def stored_bytes(self):
        return sum(self.keys().values())


class FolderReplica(Replica):
    kind = "folder"

    def __init__(self, path):
        self.path = self.url = path

    def keys(self):
        found = {}
        for base, _, names in os.walk(self.path):
            for name in names:
                with contextlib.suppress(FileNotFoundError):  # a temporary file that was just renamed
                    path = os.path.join(base, name)
                    found[os.path.relpath(path, self.path)] = os.path.getsize(path)
        return found

    def get(self, key):
        with open(os.path.join(self.path, key), "rb") as stream:
            return stream.read()

    def put(self, key, body):
        path = os.path.join(self.path, key)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as stream:
            stream.write(body)

    def delete(self, key):
        os.unlink(os.path.join(self.path, key))


class S3Replica(Replica):
    kind = "s3"

    def __init__(self, server, prefix):
        self.server, self.client, self.prefix = server, server.client, prefix
        self.url = f"s3://{server.client.bucket}/{prefix}?endpoint={server.endpoint}"
        self.environment = server.environment

    def keys(self):
        return {key[len(self.prefix) + 1:]: size for key, size in self.client.list(self.prefix + "/").items()}

    def get(self, key):
        return self.client.get(f"{self.prefix}/{key}")

    def put(self, key, body):
        self.client.put(f"{self.prefix}/{key}", body)

    def delete(self, key):
        self.client.delete(f"{self.prefix}/{key}")


class S3Server:
    """A Ceph RGW of this test process alone, stopped at its end."""

    KEY_ID, SECRET = "AKIDCEPHTEST", "secretcephtestsecret"
    _shared = None

    def __init__(self, tls=False):
        self.script = os.path.join(TREE, "tests/harness/ceph.sh")
        if os.environ.get("SEAWAL_NO_S3"):
            raise unittest.SkipTest("SEAWAL_NO_S3 is set")
        if not os.path.exists(self.script) or not shutil.which("radosgw") or not shutil.which("ceph-mon"):
            raise unittest.SkipTest("no S3 server: Ceph's radosgw is not installed (tests/run installs it)")
        self.port, self.reservation = _free_ports()
        self.directory = tempfile.mkdtemp(prefix="seawal-s3-")
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.tls_endpoint = f"https://localhost:{self.port + 1}"
        self.ca_file = os.path.join(self.directory, "ceph/ca.pem")
        self.settings = {**os.environ, "S3_PORT": str(self.port), "S3_DIR": os.path.join(self.directory, "ceph"),
            "S3_AK": self.KEY_ID, "S3_SK": self.SECRET, "S3_BUCKET": "test", **({"TLS": "1"} if tls else {})}
        self.environment = {"AWS_ACCESS_KEY_ID": self.KEY_ID, "AWS_SECRET_ACCESS_KEY": self.SECRET}
        atexit.register(self.stop)
        self.run("start")
        self.client = S3Client("127.0.0.1", self.port, "test", self.KEY_ID, self.SECRET)

    @classmethod
    def shared(cls):
        """One per test process, for tests that do not disturb it."""
        if cls._shared is None:
            try:
                cls._shared = cls()
            except unittest.SkipTest as reason:
                cls._shared = reason
        if isinstance(cls._shared, unittest.SkipTest):
            raise cls._shared
        return cls._shared

    def run(self, *arguments):
        # The daemons it starts inherit what they are given: no pipes, or we would wait for them.
        log = os.path.join(self.directory, "ceph.out")
        with open(log, "ab") as out:
            result = subprocess.run(["bash", self.script, *arguments], env=self.settings, stdout=out,
                stderr=out, stdin=subprocess.DEVNULL, start_new_session=True, timeout=300)
        if result.returncode != 0:
            with open(log, encoding="utf-8", errors="replace") as lines:
                raise AssertionError(f"ceph.sh {' '.join(arguments)}: {lines.read()[-2000:]}")

    def down(self):
        self.run("down")

    def up(self):
        self.run("up")

    def pause(self):
        """It accepts connections and never answers."""
        self.run("pause")

    def resume(self):
        self.run("resume")

    def stop(self):
        if self.directory:
            self.run("stop")
            shutil.rmtree(self.directory, ignore_errors=True)
            self.reservation.close()
            self.directory = None


def _free_ports():
    """A base port P for Ceph, which also uses P+1 and P+10 to P+40; and what keeps other tests from it."""
    chooser = random.SystemRandom()
    for _ in range(1000):
        base, reservation = chooser.randrange(20000, 30000, 50), socket.socket(socket.AF_UNIX)
        try:
            reservation.bind(f"\0seawal-tests-port-{base}")
            with contextlib.ExitStack() as stack:
                for offset in (0, 1, 10, 11, *range(20, 41)):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", base + offset))
            return base, reservation
        except OSError:
            reservation.close()
    raise AssertionError("no free ports")


class Daemon:
    """`seawal replicate` over some databases, its log, and what it says is durable."""

    def __init__(self, case, databases, sync_interval="50ms", environment=None, settings=None):
        self.case, self.databases = case, databases
        self.environment = {**os.environ, **(environment or {})}
        for _, replica in databases:
            self.environment.update(replica.environment)
        self.number = case.next_number()
        self.config = case.path(f"seawal-{self.number}.yml")
        self.log_path = case.path(f"seawal-{self.number}.log")
        self.process, self.log_start = None, 0
        case.daemons.append(self)
        write_config(self.config, [(path, replica.url) for path, replica in databases], sync_interval, settings)

    def start(self, *arguments, wait=True):
        """Start it; with WAIT, until it says that it replicates every database."""
        assert self.process is None
        self.log_start = os.path.getsize(self.log_path) if os.path.exists(self.log_path) else 0
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([binary(), "replicate", "-config", self.config, *arguments],
                env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.case.processes.append(self.process)
        if wait:
            wait_for(lambda: self.is_ready() or self.process.poll() is not None, what="daemon ready")
            if self.process.poll() is not None:
                raise AssertionError(f"daemon ended with {self.process.returncode}")
        return self

    def log(self):
        """What it has said since it was last started."""
        with open(self.log_path, encoding="utf-8", errors="replace") as stream:
            stream.seek(self.log_start)
            return stream.read()

    def events(self, *names):
        """Log lines as dictionaries, all or those of some events."""
        lines = [parse_fields(line) for line in self.log().splitlines()]
        return [line for line in lines if not names or line.get("event") in names]

    def is_ready(self):
        following = {line.get("db") for line in self.events("following", "history begins", "new timeline")}
        return len(following) >= len(self.databases)

    def durable(self, database=None):
        """The newest txid of DATABASE that it has called durable; 0 when none."""
        database = database or self.databases[0][0]
        return max((int(line["txid"]) for line in self.events("durable") if line["db"] == database), default=0)

    def last_words(self):
        """For a failed case: the newest complaints of all its runs and the newest lines, each of them cut."""
        with open(self.log_path, encoding="utf-8", errors="replace") as stream:
            lines = stream.read().splitlines()
        loud = [line for line in lines[:-10] if "level=warn" in line or "level=error" in line or "ERROR: " in line]
        return [shortened(line, 400) for line in loud[-6:] + lines[-10:]]

    def stop(self, number=signal.SIGTERM, seconds=PATIENCE):
        """Ask it to end; its exit status."""
        self.process.send_signal(number)
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"daemon does not end within {seconds} s") from None
        self.process = None
        return code

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process = None


def write_config(path, databases, sync_interval, settings=None):
    """A configuration file for (database, URL) pairs; what becomes durable is logged at level debug."""
    lines = ["logging:", "  level: debug"] + [f"{key}: {value}" for key, value in (settings or {}).items()]
    lines.append("dbs:")
    for database, url in databases:
        lines += [f"  - path: {json.dumps(database)}", "    replica:", f"      url: {json.dumps(url)}",
            f"      sync-interval: {sync_interval}"]
    with open(path, "w", encoding="utf-8") as stream:
        stream.write("\n".join(lines) + "\n")


class Case(unittest.TestCase):
    """A test with a scratch folder; ends the processes it started and prints its seed when it fails."""

    maxDiff = 2000

    def setUp(self):
        binary()
        self.scratch = tempfile.mkdtemp(prefix="seawal-it-")
        self.processes, self.daemons, self._restorable, self._number = [], [], set(), 0
        self.random = random.Random(f"{SEED} {self.id()}")
        self.addCleanup(self._clean)

    def _clean(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        failed = self._outcome and any(problem for _, problem in getattr(self._outcome.result, "failures", [])
            + getattr(self._outcome.result, "errors", []) if _ is self)
        if failed and os.environ.get("SEAWAL_KEEP"):
            print(f"kept: {self.scratch}", file=sys.stderr)
        else:
            shutil.rmtree(self.scratch, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.scratch, name)

    def next_number(self):
        self._number += 1
        return self._number

    # ---- parts -------------------------------------------------------------------------------------

    def database(self, name="app.db", transactions=0, **options):
        """A new database with the schema of workload.py and some transactions."""
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        workload.create(path, **options)
        self.write(path, transactions)
        return path

    def write(self, path, transactions, operations=None):
        """Some transactions from this process; the connection is closed afterwards."""
        if transactions:
            writer = workload.Writer(path, 0, self.random.random())
            while writer.committed < transactions:
                writer.transact(operations)
            writer.close()

    def folder(self, name="replica"):
        return FolderReplica(self.path(name))

    def bucket(self, server=None):
        server = server or S3Server.shared()
        return S3Replica(server, os.path.basename(self.scratch) + f"/{self.next_number()}")

    def daemon(self, database, replica, **options):
        """A running daemon for one database, or for a list of (database, replica)."""
        pairs = database if isinstance(database, list) else [(database, replica)]
        start = options.pop("start", True)
        daemon = Daemon(self, pairs, **options)
        return daemon.start() if start else daemon

    def start_writer(self, path, record=None, **options):
        """A C writer in the background; options are those of writer.c."""
        arguments = [compiled("writer.c", "-lsqlite3", "-lz"), path]
        if record:
            arguments += ["--record", record]
        for name, value in options.items():
            arguments += ["--" + name.replace("_", "-"), str(value)]
        return self.background(arguments)

    def start_python_writer(self, path, identity, seconds, busy_timeout, record):
        return self.background([sys.executable, os.path.join(HERE, "workload.py"), path, str(identity),
            str(self.random.getrandbits(30)), str(seconds), str(busy_timeout), record])

    def background(self, arguments, **options):
        process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **options)
        self.processes.append(process)
        return process

    # ---- commands ----------------------------------------------------------------------------------

    def seawal(self, *arguments, environment=None, seconds=PATIENCE, cwd=None, user=None):
        """Run a command of the product to its end."""
        settings = {**os.environ, **(environment or {})}
        try:
            done = subprocess.run([binary(), *arguments], env=settings, stdin=subprocess.DEVNULL, cwd=cwd,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=seconds, errors="replace",
                user=user)
        except subprocess.TimeoutExpired as late:
            said = (late.stderr or b"").decode("utf-8", "replace")
            raise AssertionError(f"not within {seconds} s: {' '.join(arguments)}: {said[-1000:]}") from None
        return Result([os.path.basename(binary()), *arguments], done.returncode, done.stdout, done.stderr)

    def restore(self, replica, *arguments, expect=DONE, environment=None, seconds=PATIENCE):
        """Restore into a new file; its path (None when another exit code was expected)."""
        out = self.path(f"restored-{self.next_number()}.db")
        result = self.seawal("restore", "-o", out, *arguments, replica.url,
            environment={**replica.environment, **(environment or {})}, seconds=seconds)
        self.assertEqual(result.code, expect, str(result))
        if expect != DONE:
            self.assertFalse(os.path.exists(out), "a failed restore left its output")
            self.assertEqual(glob.glob(glob.escape(out) + "*"), [], "a failed restore left files")
            return None
        return out

    def history(self, replica):
        result = self.seawal("history", "-json", replica.url, environment=replica.environment)
        self.assertEqual(result.code, DONE, str(result))
        return result.json

    # ---- claims ------------------------------------------------------------------------------------

    def state(self, path):
        """The transaction number that a restored database is at, after checking the database in itself."""
        with workload.closing(path) as connection:
            seq = workload.check_state(connection)
            self.assertEqual(connection.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
        return seq

    def restored_state(self, replica, *arguments):
        """Restore, check, remove: the transaction number."""
        path = self.restore(replica, *arguments)
        try:
            return self.state(path)
        finally:
            remove_database(path)

    def newest_state(self, replica):
        """The transaction that a restore of the newest gives; None before the first one can be restored.

        That takes a snapshot and the log from where it began to where it ended; what was once there stays.
        """
        if not replica.segments("snapshot"):
            return None
        if replica.url not in self._restorable:
            result = self.seawal("restore", "-dry-run", "-o", self.path("unused"), replica.url,
                environment=replica.environment)
            if result.code == NOT_THERE:
                return None
            self.assertEqual(result.code, DONE, str(result))
            self._restorable.add(replica.url)
        return self.restored_state(replica)

    def wait_restorable(self, replica, seq, seconds=PATIENCE):
        """Until a restore of the newest gives transaction SEQ or a later one."""
        wait_for(lambda: self.newest_state(replica), seconds, f"transaction {seq} in the replica", pause=0.1,
            until=lambda found: found is not None and found >= seq)

    def check_same(self, source, restored):
        """SOURCE (nobody has it open any more) and RESTORED: equal page for page, and by content."""
        with workload.closing(source) as connection:
            busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            self.assertEqual(busy, 0, "somebody still has the source open")
        self.assertEqual(differing_pages(source, restored), [], "pages differ")
        self.assertEqual(content_hash(source), content_hash(restored))


def remove_database(path):
    for suffix in ("", "-wal", "-shm", "-journal"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path + suffix)


def page_size_of(path):
    with open(path, "rb") as stream:
        raw = int.from_bytes(stream.read(18)[16:18], "big")
    return 65536 if raw == 1 else raw


def differing_pages(first, second, limit=20):
    """Page numbers that differ between two database files (the size counts as page 0)."""
    size = page_size_of(first)
    found = [0] if os.path.getsize(first) != os.path.getsize(second) else []
    lock_page = 0x40000000 // size + 1
    with open(first, "rb") as one, open(second, "rb") as two:
        base = 0
        while len(found) < limit:
            left, right = one.read(256 * size), two.read(256 * size)
            if not left or not right:
                break
            if left != right:
                for index in range(min(len(left), len(right)) // size):
                    at = slice(index * size, (index + 1) * size)
                    if left[at] != right[at] and base + index + 1 != lock_page:
                        found.append(base + index + 1)
            base += 256
    return found


def content_hash(path):
    """A hash of the schema and of every row of every table."""
    total = hashlib.sha256()
    with workload.closing(path) as connection:
        names = connection.execute("SELECT name, sql, rootpage FROM sqlite_schema ORDER BY name").fetchall()
        total.update(repr([(name, sql) for name, sql, _ in names]).encode())
        for name, sql, _ in names:
            if sql and sql.upper().startswith("CREATE TABLE"):
                for row in connection.execute(f'SELECT * FROM "{name}"'):
                    total.update(repr(row).encode())
    return total.hexdigest()


@contextlib.contextmanager
def small_disk(case, size):
    """A mounted folder with room for SIZE bytes; skips the test where mounting is not allowed."""
    path = case.path("small-disk")
    os.makedirs(path)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path], capture_output=True, text=True)
    if done.returncode != 0:
        raise unittest.SkipTest(f"cannot mount a small disk: {done.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=False)


def fill(path):
    """Take what room there is, to the last block."""
    with open(path, "wb", buffering=0) as stream:
        for size in (65536, 512):
            with contextlib.suppress(OSError):
                while True:
                    stream.write(b"\0" * size)


@contextlib.contextmanager
def deaf_port():
    """A port of 127.0.0.1 that refuses connections, and that nobody else gets meanwhile."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield probe.getsockname()[1]


def both_stores(test):
    """Run a test that takes a replica twice: on a folder and on the S3 server."""
    test.both_stores = True
    return test


def expand(cls):
    """Class decorator: each @both_stores test becomes test_..._folder and test_..._s3."""
    for name, test in list(vars(cls).items()):
        if getattr(test, "both_stores", False):
            delattr(cls, name)
            setattr(cls, name + "_folder", _with_replica(test, Case.folder))
            setattr(cls, name + "_s3", _with_replica(test, Case.bucket))
    return cls


def _with_replica(test, place):
    def run(self):
        test(self, place(self))

    run.__doc__ = test.__doc__
    return run
