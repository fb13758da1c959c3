"""The bad input table: each row with its exit code and the words of its message, and nothing changed."""
import os
import pwd
import shutil
import socket
import subprocess
import threading
import unittest

import workload
from harness import (COULD_NOT_TELL, DONE, FAILED, NOT_THERE, USAGE, Case, S3Replica, S3Server, deaf_port, file_tree,
    fill, remove_database, small_disk, wait_for)


class Databases(Case):
    """replicate on something that is not a database in WAL mode."""

    def refused(self, path, words, code=FAILED, replica=None, **options):
        replica = replica or self.folder()
        before = file_tree(os.path.dirname(path)) if os.path.isdir(os.path.dirname(path)) else {}
        result = self.seawal("replicate", "-once", path, replica.url, **options)
        self.assertEqual(result.code, code, str(result))
        for word in words:
            self.assertIn(word.lower(), result.err.lower(), str(result))
        if before:
            after = file_tree(os.path.dirname(path))
            self.assertEqual({name: digest for name, digest in after.items() if name in before}, before)
        self.assertEqual(replica.segments() if os.path.isdir(replica.path) else [], [])
        return result

    def test_missing(self):
        path = self.path("no-such.db")
        self.refused(path, ["no-such.db", "no such"])
        self.assertFalse(os.path.exists(path), "a missing database was created")

    def test_not_a_database(self):
        path = self.path("letter.db")
        with open(path, "w", encoding="ascii") as stream:
            stream.write("Dear database,\n" * 1000)
        self.refused(path, ["letter.db", "not an SQLite database"])

    def test_zero_bytes(self):
        path = self.path("empty.db")
        open(path, "w", encoding="ascii").close()
        self.refused(path, ["empty.db", "empty"])
        self.assertEqual(os.path.getsize(path), 0)

    def test_a_folder(self):
        path = self.path("folder.db")
        os.makedirs(path)
        self.refused(path, ["folder.db"])

    def rollback_journal_database(self):
        path = self.path("old.db")
        with workload.closing(path) as connection:
            connection.execute("CREATE TABLE t(a)")
            connection.execute("INSERT INTO t VALUES(1)")
        return path

    def test_not_in_wal_mode(self):
        self.refused(self.rollback_journal_database(), ["old.db", "WAL"])

    def test_not_in_wal_mode_with_permission(self):
        path, replica = self.rollback_journal_database(), self.folder()
        daemon = self.daemon(path, replica, start=False, settings={"convert-to-wal": "true"})
        result = self.seawal("replicate", "-once", "-config", daemon.config)
        self.assertEqual(result.code, DONE, str(result))
        restored = self.restore(replica)
        with workload.closing(path) as connection:
            self.assertEqual(connection.execute("PRAGMA journal_mode").fetchone(), ("wal",))
        self.check_same(path, restored)

    def test_unreadable(self):
        if os.getuid() != 0:
            raise unittest.SkipTest("not root: cannot become another user")
        path = self.database("private/app.db", 3)
        os.chmod(os.path.dirname(path), 0o700)
        os.chmod(self.scratch, 0o777)
        self.refused(path, ["app.db", "permission denied"], user=pwd.getpwnam("nobody").pw_uid)

    def test_read_only_disk(self):
        """Not even the state folder can be made."""
        with small_disk(self, "8m") as disk:
            path = os.path.join(disk, "app.db")
            workload.create(path)
            subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
            self.refused(path, ["read-only"])

    def test_replica_folder_cannot_be_written(self):
        path = self.database(transactions=3)
        blocked = self.path("blocked")
        with open(blocked, "w", encoding="ascii") as stream:
            stream.write("a file where a folder should be")
        result = self.seawal("replicate", "-once", path, blocked)
        self.assertNotEqual(result.code, DONE, str(result))
        self.assertIn("blocked", result.err)

    def test_state_folder_in_use(self):
        """A second daemon on the same database is told so and ends."""
        path, replica = self.database(transactions=3), self.folder()
        daemon = self.daemon(path, replica)
        result = self.seawal("replicate", "-once", path, self.path("other-replica"))
        self.assertEqual(result.code, FAILED, str(result))
        self.assertIn(f"locked by process {daemon.process.pid}", result.err)
        self.assertEqual(daemon.stop(), DONE)


class Configuration(Case):
    """What cannot be meant is refused before anything is touched."""

    def refused(self, text, words):
        config = self.path("bad.yml")
        with open(config, "w", encoding="utf-8") as stream:
            stream.write(text)
        path = self.database(f"{self.next_number()}.db", 1)
        before = file_tree(self.scratch)
        result = self.seawal("replicate", "-config", config)
        self.assertEqual(result.code, USAGE, str(result))
        for word in words:
            self.assertIn(word, result.err, str(result))
        self.assertEqual(file_tree(self.scratch), before)
        remove_database(path)

    def test_table(self):
        good = "dbs:\n  - path: /tmp/a.db\n    replica:\n      url: /tmp/r\n"
        rows = (
            ("unknown key at the top", "colour: red\n" + good, ["bad.yml:1", "colour"]),
            ("unknown key of a database", "dbs:\n  - path: /tmp/a.db\n    colour: red\n", ["bad.yml:3", "colour"]),
            ("unknown key of a replica", good + "      colour: red\n", ["bad.yml:5", "colour"]),
            ("duration of the wrong type", good + "      sync-interval: soon\n", ["bad.yml:5", "soon"]),
            ("negative duration", good + "      sync-interval: -1s\n", ["bad.yml:5", "-1s"]),
            ("list where a map belongs", "dbs:\n  - [a, b]\n", ["bad.yml:2"]),
            ("map where a list belongs", "dbs:\n  path: /tmp/a.db\n", ["bad.yml:2"]),
            ("no path", "dbs:\n  - replica:\n      url: /tmp/r\n", ["bad.yml", "path"]),
            ("no replica", "dbs:\n  - path: /tmp/a.db\n", ["bad.yml", "replica"]),
            ("unknown scheme", "dbs:\n  - path: /tmp/a.db\n    replica:\n      url: gopher://x/y\n", ["bad.yml", "gopher"]),
            ("bucket without a name", "dbs:\n  - path: /tmp/a.db\n    replica:\n      url: s3:///x\n", ["bad.yml:4", "bucket"]),
            ("not YAML", "dbs: [\n", ["bad.yml"]),
            ("the same key twice", good + "dbs: []\n", ["bad.yml:5", "dbs"]),
        )
        for name, text, words in rows:
            with self.subTest(name):
                self.refused(text, words)

    def test_missing_file(self):
        result = self.seawal("replicate", "-config", self.path("none.yml"))
        self.assertEqual(result.code, USAGE, str(result))
        self.assertIn("none.yml", result.err)

    def test_command_line(self):
        for arguments in (("replicate", "-colour", "a", "b"), ("replicate", "only-one"), ("restore",),
                ("restore", "-txid", "abc", "-o", "x", "y"), ("restore", "-txid", "-1", "-o", "x", "y"),
                ("restore", "-timestamp", "yesterday", "-o", "x", "y"), ("history",), ("restore", "-o")):
            with self.subTest(arguments=arguments):
                result = self.seawal(*arguments, cwd=self.scratch)
                self.assertEqual(result.code, USAGE, str(result))
                self.assertNotEqual(result.err, "")
        self.assertEqual(os.listdir(self.scratch), [])

    def test_bad_urls(self):
        for url in ("gopher://host/path", "s3://", "s3:///prefix", "file://host/path", ""):
            with self.subTest(url=url):
                result = self.seawal("restore", "-o", self.path("out.db"), url)
                self.assertEqual(result.code, USAGE, str(result))
        self.assertEqual(os.listdir(self.scratch), [])


class Endpoints(Case):
    """An S3 endpoint that refuses, is missing, or cannot be trusted."""

    def check(self, url, environment, code, words, once=False):
        """ONCE: by restore alone, since what is tried again and again takes a minute for each command."""
        out = self.path("out.db")
        result = self.seawal("restore", "-o", out, url, environment=environment, seconds=600)
        self.assertEqual(result.code, code, str(result))
        for word in words:
            self.assertIn(word.lower(), result.err.lower(), str(result))
        self.assertFalse(os.path.exists(out))
        if once:
            return
        # With -if-replica-exists a refusal must not look like "no backup".
        result = self.seawal("restore", "-if-replica-exists", "-o", out, url, environment=environment)
        self.assertEqual(result.code, code, str(result))
        path = self.database(f"{self.next_number()}.db", 3)
        result = self.seawal("replicate", "-once", path, url, environment=environment)
        self.assertEqual(result.code, code, str(result))
        for word in words:
            self.assertIn(word.lower(), result.err.lower(), str(result))

    def test_wrong_secret(self):
        replica = self.bucket()
        environment = {**replica.environment, "AWS_SECRET_ACCESS_KEY": "wrong"}
        self.check(replica.url, environment, COULD_NOT_TELL, ["SignatureDoesNotMatch"])
        self.assertEqual(replica.keys(), {})

    def test_unknown_key_id(self):
        replica = self.bucket()
        environment = {**replica.environment, "AWS_ACCESS_KEY_ID": "NOBODY"}
        self.check(replica.url, environment, COULD_NOT_TELL, ["InvalidAccessKeyId"])

    def test_no_credentials(self):
        replica = self.bucket()
        environment = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "HOME": self.scratch}
        self.check(replica.url, environment, COULD_NOT_TELL, ["credentials"])

    def test_missing_bucket(self):
        server = S3Server.shared()
        self.check(f"s3://no-such-bucket/x?endpoint={server.endpoint}", server.environment, USAGE,
            ["no-such-bucket", "create the bucket"])

    def test_unreachable(self):
        environment = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
        with deaf_port() as port:
            self.check(f"s3://bucket/x?endpoint=http://127.0.0.1:{port}", environment, COULD_NOT_TELL, [str(port)],
                once=True)

    def test_unknown_host(self):
        environment = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
        self.check("s3://bucket/x?endpoint=http://no-such-host.invalid", environment, COULD_NOT_TELL,
            ["no-such-host.invalid"], once=True)

    def test_certificate(self):
        """A private authority is refused unless it is configured; then it works; another name is refused."""
        server = S3Server(tls=True)
        try:
            good = S3Replica(server, "tls")
            good.url = f"s3://test/tls?endpoint={server.tls_endpoint}"
            self.check(good.url, server.environment, COULD_NOT_TELL, ["certificate"], once=True)
            self.assertEqual(good.keys(), {})
            path = self.database(transactions=3)
            daemon = self.daemon(path, good, start=False, settings={"ca-file": server.ca_file})
            result = self.seawal("replicate", "-once", "-config", daemon.config, environment=server.environment)
            self.assertEqual(result.code, DONE, str(result))
            out = self.path("tls.db")
            result = self.seawal("restore", "-config", daemon.config, "-o", out, path, environment=server.environment)
            self.assertEqual(result.code, DONE, str(result))
            self.assertEqual(self.state(out), 3)
        finally:
            server.stop()

    def test_not_an_s3_server(self):
        """Something else answers on that port."""
        listener = socket.create_server(("127.0.0.1", 0))

        def answer():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")

        threading.Thread(target=answer, daemon=True).start()
        environment = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
        url = f"s3://bucket/x?endpoint=http://127.0.0.1:{listener.getsockname()[1]}"
        result = self.seawal("restore", "-o", self.path("out.db"), url, environment=environment)
        listener.close()
        self.assertNotIn(result.code, (DONE, NOT_THERE), str(result))


class FullDisk(Case):
    def test_while_restoring(self):
        """The message says so, and nothing of it stays."""
        path, replica = self.database(transactions=5), self.folder()
        with workload.closing(path) as connection:
            connection.execute("CREATE TABLE ballast AS SELECT randomblob(8000000) AS body")
        self.assertEqual(self.seawal("replicate", "-once", path, replica.url).code, DONE)
        with small_disk(self, "4m") as disk:
            result = self.seawal("restore", "-o", os.path.join(disk, "app.db"), replica.url)
            self.assertEqual(result.code, FAILED, str(result))
            self.assertIn("no space left", result.err.lower())
            self.assertEqual(os.listdir(disk), [])

    def test_while_replicating(self):
        """The replica's disk is full for a while: nothing is lost, no restart is needed."""
        path = self.database(transactions=5)
        with small_disk(self, "6m") as disk:
            replica = self.folder()
            replica.path = replica.url = os.path.join(disk, "replica")
            daemon = self.daemon(path, replica)
            self.wait_restorable(replica, 5)
            ballast = os.path.join(disk, "ballast")
            fill(ballast)
            self.write(path, 40)
            wait_for(lambda: "space" in daemon.log().lower(), what="the full disk in the log")
            os.unlink(ballast)
            self.wait_restorable(replica, 45)
            self.assertEqual(daemon.stop(), DONE, daemon.log())
            self.check_same(path, self.restore(replica))
            shutil.rmtree(replica.path)
