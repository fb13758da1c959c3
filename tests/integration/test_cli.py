"""The command line: help, flags, suggestions, exit codes, configuration, and what status says."""
import contextlib
import json
import os
import pty
import re
import shutil
import subprocess

import workload
from harness import (COULD_NOT_TELL, DAMAGED, DONE, FAILED, NOT_THERE, PATIENCE, TREE, USAGE, Case, binary,
    deaf_port, remove_database, wait_for, write_config)

COMMANDS = ("replicate", "restore", "history", "expire", "hold", "status", "check", "databases", "version")


class Help(Case):
    def test_every_way_to_ask(self):
        for arguments in (["--help"], ["-help"], ["-h"], ["help"]):
            result = self.seawal(*arguments)
            self.assertEqual((result.code, result.err), (DONE, ""), str(result))
            for command in COMMANDS:
                self.assertIn(f"\n  {command} ", result.out)
        for command in COMMANDS:
            texts = [self.seawal(*arguments) for arguments in
                ([command, "--help"], [command, "-help"], [command, "-h"], ["help", command])]
            self.assertEqual({(text.code, text.err) for text in texts}, {(DONE, "")})
            self.assertEqual(len({text.out for text in texts}), 1)
            self.assertTrue(texts[0].out.startswith(f"seawal {command} - "))

    def test_without_arguments(self):
        result = self.seawal()
        self.assertEqual((result.code, result.out), (USAGE, ""))
        self.assertIn("usage: seawal COMMAND", result.err)

    def test_every_flag_is_in_the_manual(self):
        with open(os.path.join(TREE, "packaging/man/seawal.1"), encoding="utf-8") as stream:
            sections = re.split(r"^\.S[sh] ", stream.read(), flags=re.MULTILINE)
        manual = {section.split("\n", 1)[0]: section for section in sections}
        for command in COMMANDS:
            flags = re.findall(r"^  -([a-z-]+)", self.seawal(command, "--help").out, re.MULTILINE)
            self.assertNotEqual(flags, [])
            items = "\n".join(line for line in manual[command].splitlines() if line.startswith(".It "))
            documented = re.findall(r"Fl ([a-z-]+)", items)
            self.assertEqual(sorted(flags), sorted(documented), command)

    def test_every_exit_code_is_in_the_manual(self):
        with open(os.path.join(TREE, "packaging/man/seawal.1"), encoding="utf-8") as stream:
            section = stream.read().split(".Sh EXIT STATUS")[1].split(".Sh ")[0]
        self.assertEqual(re.findall(r"^\.It (\d)$", section, re.MULTILINE), list("012345"))


class Usage(Case):
    def test_suggestions(self):
        for arguments, said in (
                (["restor"], "did you mean 'restore'?"),
                (["restore", "-tixd", "1", "-o", "x", "y"], "did you mean '-txid'?"),
                (["replicate", "-onse", "a", "b"], "did you mean '-once'?"),
                (["history", "--jsn", "y"], "did you mean '-json'?")):
            result = self.seawal(*arguments)
            self.assertEqual((result.code, result.out), (USAGE, ""), str(result))
            self.assertIn(said, result.err)
        self.assertNotIn("did you mean", self.seawal("restore", "-xyzzy").err)

    def test_refused(self):
        for arguments, said in (
                (["status", "extra"], "too many arguments from 'extra' on"),
                (["restore", "a", "b"], "too many arguments from 'b' on"),
                (["restore", "-o"], "-o needs a value: FILE"),
                (["restore", "-o=", "/r"], "-o is empty"),
                (["restore", "/r"], "-o is needed"),
                (["restore", "-o", "x", "-txid", "0", "/r"], "must be at least 1"),
                (["restore", "-o", "x", "-txid", "1x", "/r"], "1x"),
                (["restore", "-o", "x", "-timeline", "xyz", "/r"], "'xyz' is not a timeline"),
                (["restore", "-o", "x", "-timeline", "0", "/r"], "'0' is not a timeline"),
                (["restore", "-o", "x", "-integrity-check", "some", "/r"], "none of none, quick, full"),
                (["restore", "-o", "x", "-dry-run=maybe", "/r"], "neither true nor false"),
                (["restore", "-o", "x", "-parallelism", "0", "/r"], "-parallelism"),
                (["status", "-max-lag", "5"], "-max-lag"),
                (["replicate", "-sync-interval", "-1s", "a", "b"], "-1s"),
                (["replicate", "-log-level", "loud", "a", "/r"], "loud"),
                (["replicate", "-log-format", "xml", "a", "/r"], "xml"),
                (["replicate", "-once", "-exec", "true", "a", "/r"], "contradict"),
                (["replicate", "-config", "c.yml", "a", "/r"], "either -config or databases"),
                (["replicate", "a", "/r", "b"], "'b' has no replica URL"),
                (["replicate", "a", "/r", "a", "/s"], "named twice"),
                (["replicate", "a", "ftp://x/y"], "ftp")):
            with self.subTest(arguments=arguments):
                result = self.seawal(*arguments, cwd=self.scratch)
                self.assertEqual((result.code, result.out), (USAGE, ""), str(result))
                self.assertIn(said, result.err)
        self.assertEqual(os.listdir(self.scratch), [])

    def test_flags_in_every_form(self):
        replica, path = self.folder(), self.database(transactions=2)
        self.assertEqual(self.seawal("replicate", path, replica.url, "--once").code, DONE)
        for number, arguments in enumerate((
                ["-txid", "1", "-o", "OUT", replica.url],
                ["--txid=1", "--o=OUT", replica.url],
                [replica.url, "-o", "OUT", "--txid", "1"],
                ["-o=OUT", "-txid=1", "-json=false", "--", replica.url])):
            out = self.path(f"{number}.db")
            result = self.seawal("restore", *[word.replace("OUT", out) for word in arguments])
            self.assertEqual(result.code, DONE, str(result))
            self.assertEqual(self.state(out), 2)


class Configured(Case):
    """Commands that find databases in a configuration file."""

    def setUp(self):
        super().setUp()
        self.replica, self.source = self.folder(), self.database(transactions=7)
        self.config = self.path("seawal.yml")
        write_config(self.config, [(self.source, self.replica.url)], "1s")

    def once(self):
        result = self.seawal("replicate", "-once", "-config", self.config)
        self.assertEqual(result.code, DONE, str(result))

    def twice(self):
        """One transaction more, uploaded as a segment."""
        self.write(self.source, 1)
        self.once()

    def status(self, *arguments, code):
        result = self.seawal("status", "-json", "-config", self.config, *arguments)
        self.assertEqual(result.code, code, str(result))
        return result.json[0]

    def test_restore_by_path(self):
        self.once()
        out = self.path("out.db")
        self.assertEqual(self.seawal("restore", "-config", self.config, "-o", out, self.source).code, DONE)
        self.assertEqual(self.state(out), 7)
        result = self.seawal("restore", "-config", self.config, self.source)
        self.assertEqual(result.code, FAILED, str(result))
        self.assertIn("exists", result.err)
        remove_database(self.source)
        self.assertEqual(self.seawal("restore", "-config", self.config, self.source).code, DONE)
        self.assertEqual(self.state(self.source), 7)

    def test_mistyped_path_is_no_empty_replica(self):
        """A typing error must not become "certainly no backup"."""
        self.once()
        for name in (self.source + "x", self.source[:-1]):
            for flags in ([], ["-if-replica-exists"]):
                result = self.seawal("restore", "-config", self.config, "-o", self.path("out.db"), *flags, name)
                self.assertEqual(result.code, USAGE, str(result))
        other = self.database("other.db", 1)
        result = self.seawal("restore", "-config", self.config, "-o", self.path("out.db"), other)
        self.assertEqual(result.code, USAGE, str(result))
        self.assertFalse(os.path.exists(self.path("out.db")))

    def test_a_point_that_is_not_there(self):
        """-if-replica-exists forgives a missing backup, not a missing point of an existing one."""
        self.once()
        result = self.seawal("restore", "-if-replica-exists", "-txid", "99", "-o", self.path("out.db"), self.replica.url)
        self.assertEqual(result.code, NOT_THERE, str(result))

    def test_skipped_as_json(self):
        result = self.seawal("restore", "-json", "-if-replica-exists", "-o", self.path("out.db"), self.folder("none").url)
        self.assertEqual(result.code, DONE, str(result))
        self.assertIsNone(result.json["txid"])
        self.assertIn("no backup", result.json["skipped"])

    def test_restore_before_replication(self):
        self.once()
        remove_database(self.source)
        shutil.rmtree(self.path(".app.db-seawal"))
        result = self.seawal("replicate", "-once", "-restore-if-db-not-exists", "-config", self.config)
        self.assertEqual(result.code, DONE, str(result))
        self.assertIn("event=restored", result.err)
        self.assertEqual(self.state(self.source), 7)

    def test_dry_run_as_json(self):
        self.once()
        result = self.seawal("restore", "-json", "-dry-run", "-o", self.path("out.db"), self.replica.url)
        self.assertEqual(result.code, DONE, str(result))
        self.assertEqual(result.json["txid"], 1)
        self.assertEqual([entry["kind"] for entry in result.json["objects"]], ["snapshot"])
        self.assertEqual([entry["key"] for entry in result.json["objects"]], self.replica.segments())

    def test_status(self):
        row = self.status(code=NOT_THERE)
        self.assertEqual((row["status"], row["lag_ms"]), ("not initialized", None))
        self.once()
        row = self.status("-max-lag", "1s", code=DONE)
        self.assertEqual((row["path"], row["status"], row["captured_txid"], row["replica_txid"], row["spool_segments"]),
            (self.source, "ok", 1, 1, 0))
        self.assertEqual(self.seawal("status", "-config", self.config).code, DONE)
        self.twice()
        row = self.status("-local", code=DONE)
        self.assertEqual((row["status"], row["durable_txid"], row["replica_txid"]), ("ok", 2, None))

    def test_status_of_a_daemon_and_after_it(self):
        daemon = self.daemon(self.source, self.replica)
        self.config = daemon.config
        self.write(self.source, 5)
        self.wait_restorable(self.replica, 12)
        holder = workload.closing(self.source)
        with holder as connection:
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
            # The replica has it before the daemon notes that it has.
            wait_for(lambda: [self.status(code=DONE)[key] for key in ("status", "lag_ms")], what="no lag",
                until=lambda found: found == ["ok", 0])
            self.status("-max-lag", "30s", code=DONE)
            daemon.kill()
            self.write(self.source, 3)
            row = self.status(code=DONE)
            self.assertEqual(row["status"], "not captured")
            self.assertGreater(row["lag_ms"], 0)
            self.status("-max-lag", "1ms", code=FAILED)
            self.status("-max-lag", "1h", code=DONE)

    def test_status_of_a_missing_database(self):
        self.once()
        remove_database(self.source)
        self.assertEqual(self.status(code=FAILED)["status"], "no database")

    def test_status_of_a_damaged_replica(self):
        self.once()
        self.replica.put("00000001/0/hello.seg", b"hello")
        row = self.status(code=DAMAGED)
        self.assertEqual(row["status"], "replica damaged")
        self.assertIn("hello.seg", row["error"])

    def test_status_of_an_unreachable_replica(self):
        self.once()
        self.twice()
        with deaf_port() as port:
            write_config(self.config, [(self.source, f"s3://bucket/x?endpoint=http://127.0.0.1:{port}")], "1s",
                settings={"access-key-id": "a", "secret-access-key": "b"})
            row = self.status("-max-lag", "1m", code=COULD_NOT_TELL)
        self.assertEqual((row["status"], row["durable_txid"], row["captured_txid"]), ("unreachable", 2, 2))
        self.assertNotEqual(row["error"], None)

    def test_databases(self):
        with open(self.config, "a", encoding="utf-8") as stream:
            stream.write("truncate-page-n: 100\n")
        result = self.seawal("databases", "-json", "-config", self.config)
        self.assertEqual(result.code, DONE, str(result))
        self.assertEqual(result.json, [{"path": self.source, "replica": self.replica.url, "sync_interval_ms": 1000,
            "state_dir": os.path.join(self.scratch, ".app.db-seawal")}])
        self.assertRegex(result.err, r"warning: \S+seawal.yml:\d+: 'truncate-page-n' has no effect")
        for name in ("SEAWAL_CONFIG", "LITESTREAM_CONFIG"):
            self.assertEqual(self.seawal("databases", "-json", environment={name: self.config}).out, result.out)

    def test_variables(self):
        with open(self.config, "a", encoding="utf-8") as stream:
            stream.write("region: ${SEAWAL_TEST_REGION}\n")
        line = sum(1 for _ in open(self.config, encoding="utf-8"))
        result = self.seawal("databases", "-config", self.config)
        self.assertEqual(result.code, USAGE, str(result))
        self.assertIn(f"seawal.yml:{line}: 'region': environment variable 'SEAWAL_TEST_REGION' is not set", result.err)
        self.assertEqual(self.seawal("databases", "-no-expand-env", "-config", self.config).code, DONE)
        self.assertEqual(self.seawal("databases", "-config", self.config,
            environment={"SEAWAL_TEST_REGION": "x"}).code, DONE)

    def test_unreadable_and_empty_files(self):
        for text, said in (("", "names no database"), ("dbs: []\n", "names no database"), ("a: [\n", "empty.yml:")):
            path = self.path("empty.yml")
            with open(path, "w", encoding="utf-8") as stream:
                stream.write(text)
            result = self.seawal("replicate", "-config", path)
            self.assertEqual(result.code, USAGE, str(result))
            self.assertIn(said, result.err)
        self.assertEqual(self.seawal("databases", "-config", self.scratch).code, USAGE)


def read_terminal(master):
    """All that is shown until the last program has closed its end; a slow one shows more than a terminal holds."""
    shown = b""
    with open(master, "rb", buffering=0) as stream, contextlib.suppress(OSError):  # EIO is the end
        while part := stream.read(65536):
            shown += part
    return shown


class Progress(Case):
    def test_bar_on_a_terminal_only(self):
        replica, path = self.folder(), self.database(transactions=20)
        self.assertEqual(self.seawal("replicate", "-once", path, replica.url).code, DONE)
        result = self.seawal("restore", "-o", self.path("quiet.db"), replica.url)
        self.assertEqual((result.code, result.err), (DONE, ""), str(result))

        master, slave = pty.openpty()
        with subprocess.Popen([binary(), "restore", "-json", "-o", self.path("bar.db"), replica.url], stderr=slave,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as restoring:
            os.close(slave)
            shown = read_terminal(master).decode()
            said = restoring.stdout.read()
        self.assertEqual(restoring.returncode, DONE)
        self.assertEqual(json.loads(said)["txid"], 1)
        self.assertIn("100%", shown)
        self.assertTrue(shown.endswith("\r\x1b[K"), repr(shown))


class Packaging(Case):
    """Manuals and units are well formed."""

    def test_manuals(self):
        if not shutil.which("groff"):
            self.skipTest("no groff")
        for name in ("seawal.1", "seawal.yml.5"):
            done = subprocess.run(["groff", "-mdoc", "-Tutf8", "-ww", os.path.join(TREE, "packaging/man", name)],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
            self.assertEqual((done.returncode, done.stderr), (0, ""), name)
            self.assertGreater(len(done.stdout), 4000)

    def test_units(self):
        if not shutil.which("systemd-analyze"):
            self.skipTest("no systemd-analyze")
        for name, unit in (("seawal.service", "seawal.service"),
                ("seawal-restore@.service", "seawal-restore@var-lib-app-app.db.service")):
            with open(os.path.join(TREE, "systemd", name + ".in"), encoding="utf-8") as stream:
                text = stream.read().replace("@bindir@/seawal", binary())
            self.assertNotIn("@bindir@", text)
            with open(self.path(unit), "w", encoding="utf-8") as stream:
                stream.write(re.sub(r"^Documentation=.*\n", "", text, flags=re.MULTILINE))
            done = subprocess.run(["systemd-analyze", "verify", self.path(unit)], stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, timeout=PATIENCE)
            said = [line for line in done.stdout.splitlines() if unit.split("@")[0].split(".")[0] in line]
            self.assertEqual(said, [])

    def test_example_configuration(self):
        """It is valid as it is, and with its examples switched on."""
        with open(os.path.join(TREE, "systemd/seawal.yml"), encoding="utf-8") as stream:
            example = stream.read()
        enabled = re.sub(r"^#( |[a-z])", r"\1", example.split("\n", 2)[2], flags=re.MULTILINE)
        enabled = "\n".join(line for line in enabled.splitlines() if not re.match(r" (How|Credentials)", line))
        for text, count in ((example, 0), (enabled, 2)):
            with open(self.path("seawal.yml"), "w", encoding="utf-8") as stream:
                stream.write(text)
            result = self.seawal("databases", "-json", "-config", self.path("seawal.yml"),
                environment={"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"})
            self.assertEqual((result.code, result.err), (DONE, ""), text)
            self.assertEqual(len(result.json), count)


class Version(Case):
    def test_version(self):
        for arguments in (["version"], ["-version"], ["--version"]):
            self.assertRegex(self.seawal(*arguments).out, r"^seawal \d+\.\d+\.\d+\nSQLite 3\.")
        result = self.seawal("version", "-json")
        self.assertEqual(sorted(result.json), ["sqlite", "sqlite_wal_reset_bug", "version"])

    def test_output_that_cannot_be_written(self):
        """A full disk behind a redirection is a failure, not a silent one."""
        if not os.path.exists("/dev/full"):
            self.skipTest("no /dev/full")
        result = self.seawal("version")
        self.assertEqual(result.code, DONE)
        self.assertEqual(json.loads(self.seawal("version", "-json").out)["version"], result.out.split()[1])
        command = self.background(["sh", "-c", 'exec "$0" version >/dev/full', binary()])
        self.assertEqual(command.wait(PATIENCE), FAILED)
