"""SQLite's WAL-reset bug: versions that have it are told, and a log that it has struck is healed."""
import os
import re
import sqlite3
import struct
import subprocess

import workload
from harness import DAMAGED, DONE, FAILED, Case, wait_for, write_config

CLAIMED_BEYOND = 500


def index_words(path):
    """(mxFrame, nBackfill), read by another process: closing -shm in this one would drop SQLite's locks."""
    raw = subprocess.run(["head", "-c", "100", path + "-shm"], stdout=subprocess.PIPE, check=True).stdout
    return struct.unpack_from("=I", raw, 16)[0], struct.unpack_from("=I", raw, 96)[0]


def strike(path):
    """What a checkpointer that the bug has struck leaves: more frames are copied than there are."""
    frames, _ = index_words(path)
    subprocess.run(["dd", f"of={path}-shm", "bs=1", "seek=96", "conv=notrunc", "status=none"],
        input=struct.pack("=I", frames + CLAIMED_BEYOND), check=True)


def has_bug(version):
    """As sqlite.org/wal.html#walresetbug says it."""
    return (3, 7, 0) <= version < (3, 51, 3) and not (
        version[:2] == (3, 50) and version[2] >= 7 or version[:2] == (3, 44) and version[2] >= 6)


class Poison(Case):
    def setUp(self):
        super().setUp()
        self.replica, self.source = self.folder(), self.database(transactions=30)
        self.config = self.path("seawal.yml")
        write_config(self.config, [(self.source, self.replica.url)], "1s")

    def struck(self, application):
        """The log was copied whole, restarted by a few commits, and struck."""
        application.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        self.write(self.source, 5)
        self.assertEqual(application.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()[0], 0)
        self.write(self.source, 3)
        strike(self.source)
        return 38

    def test_the_daemon_heals_it_and_nothing_is_lost(self):
        with workload.closing(self.source) as application:
            commits = self.struck(application)
            checked = self.seawal("check", "-json", "-config", self.config)
            self.assertEqual(checked.code, DAMAGED, str(checked))
            found = [row for row in checked.json if row["check"] == "log index"]
            self.assertEqual([row["result"] for row in found], ["damage"])
            self.assertIn("seawal replicate", found[0]["remedy"])
            told = self.seawal("status", "-json", "-config", self.config)
            self.assertEqual(told.code, DAMAGED, str(told))
            self.assertEqual((told.json[0]["status"], told.json[0]["wal_reset_bug"]), ("log poisoned", "struck"))
            self.assertIn("WAL-reset bug has struck", told.err)
            frames, claimed = index_words(self.source)
            self.assertGreater(claimed, frames, "looking has changed it")

            daemon = self.daemon(self.source, self.replica)
            wait_for(lambda: daemon.events("log healed"), what="the error")
            event = daemon.events("log healed")[0]
            self.assertEqual((event["level"], event["db"]), ("error", self.source))
            self.assertIn("integrity_check", event["remedy"])
            self.assertEqual(application.execute("SELECT max(seq) FROM ledger").fetchone()[0], commits)
            self.write(self.source, 10)
            self.wait_restorable(self.replica, commits + 10)
            self.assertEqual(self.seawal("check", "-config", self.config).code, DONE)
            self.assertEqual(daemon.stop(), DONE)
            self.assertEqual(len(daemon.events("log healed")), 1)
        self.check_same(self.source, self.restore(self.replica))
        self.assertEqual(self.state(self.source), commits + 10)

    def test_a_transaction_in_progress_delays_that(self):
        with workload.closing(self.source) as application, workload.closing(self.source) as writer:
            commits = self.struck(application)
            writer.execute("BEGIN IMMEDIATE")
            daemon = self.daemon(self.source, self.replica)
            wait_for(lambda: daemon.events("log poisoned"), what="the error")
            self.assertIn("in progress", daemon.events("log poisoned")[0]["remedy"])
            writer.execute("ROLLBACK")
            wait_for(lambda: daemon.events("log healed"), what="healing")
            self.assertEqual(len(daemon.events("log poisoned")), 1)
            self.assertEqual(daemon.stop(), DONE)
        self.check_same(self.source, self.restore(self.replica))
        self.assertEqual(self.state(self.source), commits)

    def test_versions_are_told(self):
        library = tuple(int(part) for part in self.seawal("version", "-json").json["sqlite"].split("."))
        writer = sqlite3.sqlite_version_info
        bug = {True: "warning", False: "ok"}
        checked = self.seawal("check", "-json", self.source)
        self.assertEqual(checked.code, DONE, str(checked))
        results = {row["check"]: row for row in checked.json}
        self.assertEqual(results["sqlite library"]["result"], bug[has_bug(library)])
        self.assertEqual(results["last writer"]["result"], bug[has_bug(writer)])
        self.assertIn(sqlite3.sqlite_version, results["last writer"]["detail"])
        self.assertEqual([name for name, row in results.items() if (row["result"] == "ok") != (row["remedy"] is None)], [])

        self.assertEqual(self.seawal("replicate", "-once", "-config", self.config).code, DONE)
        told = self.seawal("status", "-json", "-config", self.config)
        row = told.json[0]
        self.assertEqual((told.code, row["status"], row["sqlite_writer"]), (DONE, "ok", sqlite3.sqlite_version))
        self.assertEqual(row["wal_reset_bug"], "possible" if has_bug(writer) else "no")
        self.assertEqual("last written by an SQLite with the WAL-reset bug" in told.err, has_bug(writer))
        self.assertEqual("seawal itself uses SQLite" in told.err, has_bug(library))


class Check(Case):
    def results(self, *arguments, code):
        result = self.seawal("check", "-json", *arguments)
        self.assertEqual(result.code, code, str(result))
        return {(row["path"], row["check"]): row for row in result.json}

    def test_each_thing_that_is_wrong(self):
        path = self.database(transactions=1)
        with open(self.path("foreign.db"), "w", encoding="utf-8") as stream:
            stream.write("text" * 1000)
        with open(self.path("encrypted.db"), "wb") as stream:
            stream.write(os.urandom(8192))
        with open(self.path("empty.db"), "w", encoding="utf-8"):
            pass
        with workload.closing(self.path("rollback.db")) as connection:
            connection.execute("CREATE TABLE t(x)")
        for name, said in (("foreign.db", "not an SQLite database"), ("encrypted.db", "encrypted"),
                ("empty.db", "empty"), ("rollback.db", "journal_mode=wal"), ("missing.db", "No such file")):
            row = self.results(self.path(name), code=FAILED)[self.path(name), "database"]
            self.assertEqual(row["result"], "problem")
            self.assertIn(said, row["detail"])
        self.assertEqual(self.results(path, code=DONE)[path, "database"]["result"], "ok")

        # The worst of several decides, and the configuration names them as well.
        config = self.path("check.yml")
        write_config(config, [(path, "file:///x"), (self.path("empty.db"), "file:///y")], "1s")
        rows = self.results("-config", config, code=FAILED)
        self.assertEqual(rows[path, "database"]["result"], "ok")
        self.assertEqual(rows[self.path("empty.db"), "database"]["result"], "problem")
        self.results("-config", config, path, code=DONE)

    def test_a_state_folder_that_cannot_be_made(self):
        path, config = self.database(transactions=1), self.path("check.yml")
        with open(config, "w", encoding="utf-8") as stream:
            stream.write(f"dbs:\n  - path: {path}\n    state-dir: /proc/seawal\n    replica:\n      url: file:///x\n")
        row = self.results("-config", config, code=FAILED if os.getuid() else DONE)[path, "state folder"]
        self.assertEqual(row["result"], "problem" if os.getuid() else "ok")

    def test_text_says_what_json_says(self):
        path = self.database(transactions=1)
        text = self.seawal("check", path)
        self.assertEqual((text.code, text.err), (DONE, ""), str(text))
        for row in self.seawal("check", "-json", path).json:
            if row["check"] != "disk room":
                self.assertIn(row["detail"], text.out)
            self.assertIn(row["remedy"] or "", text.out)
            self.assertTrue(re.search(rf"{row['check']} +{row['result']} ", text.out))

    def test_nothing_is_changed(self):
        path = self.database(transactions=3)
        with open(path, "rb") as stream:
            before = stream.read()
        self.results(path, code=DONE)
        with open(path, "rb") as stream:
            self.assertEqual(stream.read(), before)
        self.assertEqual([name for name in os.listdir(self.scratch) if "seawal" in name and name.startswith(".")], [])
