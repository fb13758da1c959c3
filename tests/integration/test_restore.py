"""restore: which point, where to, and what it never does."""
import datetime
import os
import time

import workload
from harness import DONE, FAILED, NOT_THERE, PATIENCE, USAGE, Case, binary, both_stores, expand


def utc(moment, shape="%Y-%m-%dT%H:%M:%S.%fZ"):
    return datetime.datetime.fromtimestamp(moment, datetime.timezone.utc).strftime(shape)


@expand
class Points(Case):
    @both_stores
    def test_times(self, replica):
        """-timestamp gives the last transaction that was there at that moment, in both notations."""
        path = self.database(transactions=10)
        before = time.time() - 3600
        daemon = self.daemon(path, replica, sync_interval="20ms")
        moments = []
        for _ in range(3):
            self.wait_restorable(replica, 10 + 7 * len(moments))
            time.sleep(1.2)
            moments.append((time.time(), 10 + 7 * len(moments)))
            time.sleep(1.2)
            self.write(path, 7)
        self.assertEqual(daemon.stop(), DONE)
        for moment, seq in moments:
            self.assertEqual(self.restored_state(replica, "-timestamp", utc(moment)), seq)
            self.assertEqual(self.restored_state(replica, "-timestamp", utc(moment, "%Y-%m-%d %H:%M:%S")), seq)
        self.assertEqual(self.restored_state(replica, "-timestamp", utc(time.time() + 3600)), 31)
        self.restore(replica, "-timestamp", utc(before), expect=NOT_THERE)

    def test_offset_in_time(self):
        """RFC 3339 with an offset is that instant."""
        replica, path = self.folder(), self.database(transactions=4)
        self.assertEqual(self.seawal("replicate", "-once", path, replica.url).code, DONE)
        now = datetime.datetime.now(datetime.timezone(datetime.timedelta(hours=5))) + datetime.timedelta(minutes=1)
        self.assertEqual(self.restored_state(replica, "-timestamp", now.isoformat(timespec="seconds")), 4)
        early = now - datetime.timedelta(minutes=10)
        self.restore(replica, "-timestamp", early.isoformat(timespec="seconds"), expect=NOT_THERE)


class Output(Case):
    def setUp(self):
        super().setUp()
        self.replica, self.source = self.folder(), self.database(transactions=12)
        self.assertEqual(self.seawal("replicate", "-once", self.source, self.replica.url).code, DONE)

    def test_refuses_to_overwrite(self):
        out = self.path("there.db")
        with open(out, "w", encoding="ascii") as stream:
            stream.write("precious")
        result = self.seawal("restore", "-o", out, self.replica.url)
        self.assertEqual(result.code, FAILED, str(result))
        self.assertIn("exists", result.err)
        with open(out, encoding="ascii") as stream:
            self.assertEqual(stream.read(), "precious")

    def test_if_db_not_exists(self):
        out = self.path("there.db")
        self.assertEqual(self.seawal("restore", "-if-db-not-exists", "-o", out, self.replica.url).code, DONE)
        self.assertEqual(self.state(out), 12)
        with open(out, "ab") as stream:
            stream.write(b"x")
        size = os.path.getsize(out)
        self.assertEqual(self.seawal("restore", "-if-db-not-exists", "-o", out, self.replica.url).code, DONE)
        self.assertEqual(os.path.getsize(out), size)

    def test_if_replica_exists(self):
        empty = self.folder("nothing")
        self.restore(empty, expect=NOT_THERE)
        out = self.path("out.db")
        result = self.seawal("restore", "-if-replica-exists", "-o", out, empty.url)
        self.assertEqual(result.code, DONE, str(result))
        self.assertFalse(os.path.exists(out))

    def test_txid_beyond(self):
        self.restore(self.replica, "-txid", "99", expect=NOT_THERE)

    def test_dry_run_writes_nothing(self):
        out = self.path("out.db")
        result = self.seawal("restore", "-dry-run", "-o", out, self.replica.url)
        self.assertEqual(result.code, DONE, str(result))
        self.assertFalse(os.path.exists(out))
        self.assertIn("snapshot", result.out)

    def test_json(self):
        """-json says exactly which point was restored."""
        out = self.path("out.db")
        result = self.seawal("restore", "-json", "-o", out, self.replica.url)
        self.assertEqual(result.code, DONE, str(result))
        self.assertEqual(result.json["txid"], 1)

    def test_integrity_checks(self):
        for level in ("none", "quick", "full"):
            self.assertEqual(self.restored_state(self.replica, "-integrity-check", level), 12)

    def test_contradicting_targets(self):
        self.restore(self.replica, "-txid", "1", "-timestamp", "2030-01-01 00:00:00", expect=USAGE)

    def test_missing_output_folder(self):
        """The folder of the output is not there: it is made, or said; never half of it."""
        out = self.path("new/folder/app.db")
        result = self.seawal("restore", "-o", out, self.replica.url)
        if result.code == DONE:
            self.assertEqual(self.state(out), 12)
        else:
            self.assertIn("new/folder", result.err)

    def test_permissions(self):
        """A restored database is not readable for everybody."""
        out = self.restore(self.replica)
        self.assertEqual(os.stat(out).st_mode & 0o022, 0)

    def test_interrupted(self):
        """TERM in the middle leaves nothing behind."""
        path = self.database("large.db")
        with workload.closing(path) as connection:
            connection.execute("CREATE TABLE ballast(id INTEGER PRIMARY KEY, body BLOB)")
            connection.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
                " WHERE i < 200000) INSERT INTO ballast SELECT i, randomblob(900) FROM n")
        replica = self.folder("large-replica")
        self.assertEqual(self.seawal("replicate", "-once", path, replica.url).code, DONE)
        os.makedirs(self.path("out"))
        process = self.background([binary(), "restore", "-o", self.path("out/app.db"), replica.url])
        time.sleep(0.15)
        process.terminate()
        code = process.wait(PATIENCE)
        if code != DONE:
            self.assertEqual(os.listdir(self.path("out")), [])


class Looking(Case):
    def setUp(self):
        super().setUp()
        self.replica, self.source = self.folder(), self.database(transactions=12)
        daemon = self.daemon(self.source, self.replica)
        self.write(self.source, 5)
        self.assertEqual(daemon.stop(), DONE)
        self.config = daemon.config

    def test_history(self):
        history = self.history(self.replica)
        windows = [window for timeline in history["timelines"] for window in timeline["windows"]]
        self.assertEqual([(window["first_txid"], window["last_txid"]) for window in windows], [(1, 6)])
        text = self.seawal("history", self.replica.url)
        self.assertEqual(text.code, DONE)
        self.assertNotEqual(text.out, "")

    def test_history_of_nothing(self):
        self.assertEqual(self.seawal("history", self.folder("nothing").url).code, NOT_THERE)

    def test_databases(self):
        result = self.seawal("databases", "-config", self.config)
        self.assertEqual(result.code, DONE, str(result))
        self.assertIn(self.source, result.out)

    def test_version_and_help(self):
        self.assertRegex(self.seawal("version").out, r"\d+\.\d+")
        for command in ("replicate", "restore", "history", "status", "databases", "version"):
            result = self.seawal(command, "--help")
            self.assertEqual(result.code, DONE, command)
            self.assertIn(command, result.out)
        self.assertEqual(self.seawal("no-such-command").code, USAGE)
        self.assertEqual(self.seawal().code, USAGE)
