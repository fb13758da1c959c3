"""Continuity: whatever a foreign hand did to the database, while the daemon was down or beside it, the history goes on.

Each hand of the table is one test per situation. It claims: continuity is proved or the pages that differ, and only
those, are shipped as one transaction; the log says so; what was restorable stays so; the newest restores to the source.
"""
import collections
import os
import shutil
import sqlite3

import workload
from harness import DONE, FAILED, LONG, Case, both_stores, differing_pages, expand, file_tree, has_attributes, page_size_of, parse_fields, remove_database, wait_for

# What a hand leads to.
CONTINUED = "continued"  # every transaction is captured, nothing is compared
RESYNCED = "resynced"    # one transaction of the pages that differ, in the same timeline
DEPARTED = "departed"    # the same in a new timeline, since this is another file
RETURNED = "returned"    # a new timeline from the point that was restored, and nothing to ship
BEGUN = "begun"          # a new timeline with a snapshot of its own
LOCKED = "locked"        # SQLite does not let the application do it beside us; nothing happens

Hand = collections.namedtuple("Hand", "name act down running")


# ---- hands: each acts on case.database_path as an application or an operator would

def write_beside_a_reader(case):
    """The log stays, since somebody has the database open."""
    case.hold()
    case.write(case.database_path, 4)


def write_and_close(case):
    """The last connection checkpoints and deletes the log, unless the daemon is there."""
    case.release()
    case.write(case.database_path, 4)


def checkpoint(case):
    """Everything is in the file and in the log."""
    case.hold()
    case.write(case.database_path, 4)
    case.sql("PRAGMA wal_checkpoint(PASSIVE)", "PRAGMA wal_checkpoint(FULL)")


def checkpoint_and_write(case):
    """The writer behind the checkpoint restarts the log."""
    checkpoint(case)
    case.write(case.database_path, 2)


def truncate(case):
    case.hold()
    case.write(case.database_path, 2)
    case.sql("PRAGMA wal_checkpoint(TRUNCATE)", timeout=0.2)
    case.write(case.database_path, 2)


def vacuum(case):
    case.release()
    case.sql("DELETE FROM documents", "VACUUM")


def change_page_size(case):
    case.release()
    case.sql("PRAGMA journal_mode=DELETE", f"PRAGMA page_size={8192 if page_size_of(case.database_path) != 8192 else 4096}",
        "VACUUM", "PRAGMA journal_mode=WAL")


def leave_wal_mode(case):
    case.release()
    case.sql("PRAGMA journal_mode=DELETE", "UPDATE ballast SET body = randomblob(900) WHERE id % 40 = 1",
        "PRAGMA journal_mode=WAL")


def _make_successor(case, name):
    """A closed copy of the database with some transactions more."""
    copy = case.path(name)
    case.image(copy)
    case.write(copy, 3)
    return copy


def replace_by_rename(case):
    copy = _make_successor(case, "successor.db")
    case.release()
    remove_database_log(case.database_path)
    os.rename(copy, case.database_path)


def delete_and_recreate(case):
    """Deleted, and made again row by row from a dump of what it held; most pages come out as they were."""
    copy = _make_successor(case, "successor.db")
    case.release()
    remove_database(case.database_path)
    with open(copy, "rb") as source, open(case.database_path, "xb") as target:
        shutil.copyfileobj(source, target)
    os.unlink(copy)


def old_copy_over_it(case):
    """cp of a backup over the database, its log removed as SQLite's manual says."""
    case.release()
    remove_database_log(case.database_path)
    shutil.copyfile(case.old_copy, case.database_path)


def old_copy_renamed_over_it(case):
    case.release()
    shutil.copyfile(case.old_copy, case.path("incoming.db"))
    remove_database_log(case.database_path)
    os.rename(case.path("incoming.db"), case.database_path)


def restore_over_it(case):
    case.release()
    remove_database(case.database_path)
    result = case.seawal("restore", "-o", case.database_path, "-txid", str(case.early_txid), case.replica.url)
    case.assertEqual(result.code, DONE, str(result))


HANDS = (
    Hand("writes_beside_a_reader", write_beside_a_reader, CONTINUED, CONTINUED),
    Hand("writes_and_last_close", write_and_close, RESYNCED, CONTINUED),
    Hand("checkpoint", checkpoint, CONTINUED, CONTINUED),
    Hand("checkpoint_and_write", checkpoint_and_write, RESYNCED, CONTINUED),
    Hand("truncate", truncate, RESYNCED, CONTINUED),
    Hand("vacuum", vacuum, RESYNCED, CONTINUED),
    Hand("page_size", change_page_size, BEGUN, LOCKED),
    Hand("rollback_journal_and_back", leave_wal_mode, RESYNCED, LOCKED),
    Hand("replaced_by_rename", replace_by_rename, DEPARTED, DEPARTED),
    Hand("deleted_and_recreated", delete_and_recreate, DEPARTED, DEPARTED),
    Hand("old_copy_over_it", old_copy_over_it, RESYNCED, RESYNCED),
    Hand("old_copy_renamed_over_it", old_copy_renamed_over_it, DEPARTED, DEPARTED),
    Hand("restored_over_it", restore_over_it, *([RETURNED if has_attributes() else DEPARTED] * 2)),
)


# Bytes written into the file that is open in the daemon, which may look in the middle of it.
IN_PLACE = (old_copy_over_it, delete_and_recreate)


def remove_database_log(path):
    for suffix in ("-wal", "-shm"):
        if os.path.exists(path + suffix):
            os.unlink(path + suffix)


class Situation(Case):
    """A database with a history, and what every hand leaves behind."""

    def setUp(self):
        super().setUp()
        self.holder = None

    def hold(self):
        """Keep the database open, with a look into it, so that its log stays."""
        if not self.holder:
            self.holder = sqlite3.connect(self.database_path, isolation_level=None)
            self.holder.execute("SELECT count(*) FROM ledger").fetchall()

    def release(self):
        if self.holder:
            self.holder.close()
            self.holder = None

    def _clean(self):
        self.release()
        super()._clean()

    def sql(self, *statements, timeout=30.0):
        with workload.closing(self.database_path, timeout=timeout) as connection:
            for statement in statements:
                connection.execute(statement)

    def image(self, path):
        """The database as SQLite reads it now, as one file; nothing of the original is touched."""
        remove_database(path)
        shutil.copyfile(self.database_path, path)
        if os.path.exists(self.database_path + "-wal"):
            shutil.copyfile(self.database_path + "-wal", path + "-wal")
        with workload.closing(path) as connection:
            self.assertEqual(connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0], 0)
        remove_database_log(path)
        return path

    def once(self, *arguments, expect=DONE):
        """One run; what it said, as log lines."""
        result = self.seawal("replicate", "-once", *arguments, self.database_path, self.replica.url,
            environment=self.replica.environment)
        self.assertEqual(result.code, expect, str(result))
        return result

    def make_history(self, replica=None):
        """A snapshot, some transactions, an old copy, and a point in between to compare with."""
        self.replica = replica or self.folder()
        self.database_path = self.database()
        self.sql("CREATE TABLE ballast(id INTEGER PRIMARY KEY, body BLOB)",
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 800)"
            " INSERT INTO ballast SELECT i, randomblob(900) FROM n")
        self.write(self.database_path, 5)
        self.once()
        self.write(self.database_path, 4)
        self.old_copy = self.image(self.path("old.db"))
        self.once()
        self.early_txid = self.newest_point()[1]
        self.early = self.restore(self.replica)
        self.write(self.database_path, 4)
        self.once()

    # ---- claims

    def is_same(self):
        """Whether the newest restore equals the source page for page."""
        restored = self.restore(self.replica)
        image = self.image(self.path("image.db"))
        equal = not differing_pages(image, restored)
        remove_database(restored)
        return equal

    def newest_point(self):
        """(timeline, txid) of the newest restorable transaction."""
        timelines = [line for line in self.history(self.replica)["timelines"] if line["windows"]]
        newest = max(timelines, key=lambda line: int(line["timeline"], 16))
        return int(newest["timeline"], 16), newest["windows"][-1]["last_txid"]

    def differing_count(self, before, after):
        """Pages of AFTER that are not in BEFORE as they are."""
        size, old = page_size_of(after), os.path.getsize(before)
        different = [page for page in differing_pages(before, after, limit=1 << 30) if page > 0]
        new = max(0, (os.path.getsize(after) - old) // size)
        if not different and not new and os.path.getsize(after) != old:
            return 1
        return len(different) + new

    def check_history_stays(self):
        """The earlier point restores to the very bytes that it restored to before."""
        again = self.restore(self.replica, "-txid", str(self.early_txid))
        with open(again, "rb") as left, open(self.early, "rb") as right:
            self.assertEqual(left.read(), right.read(), "an earlier point restores to something else now")
        remove_database(again)
        for line in self.history(self.replica)["timelines"]:
            self.assertEqual(line["gaps"], [])

    def check_newest(self):
        self.release()
        restored = self.restore(self.replica)
        self.check_same(self.database_path, restored)
        remove_database(restored)

    def check_outcome(self, outcome, point, expected_pages, line, stored):
        """LINE is the log's "following"; STORED the keys that appeared, with their sizes."""
        timeline, txid = self.newest_point()
        logs = {key: size for key, size in stored.items() if "/0/" in key}
        snapshots = [key for key in stored if "/snapshot/" in key]
        if outcome == CONTINUED:
            self.assertEqual((line.get("continuity"), line.get("resync_pages")), ("continued", None))
            self.assertEqual(timeline, point[0])
            self.assertEqual(snapshots, [])
        elif outcome == RETURNED:
            newest = self.history(self.replica)["timelines"][-1]
            self.assertEqual((newest["timeline"], newest["parent_txid"]), (f"{point[0] + 1:08x}", self.early_txid))
            self.assertEqual(set(stored), {f"timelines/{point[0] + 1:08x}.json"})
        elif outcome == BEGUN:
            self.assertGreater(timeline, point[0])
            self.assertEqual(len(snapshots), 1)
        else:
            self.assertEqual((line.get("continuity"), line.get("level")), ("resynced", "warn"))
            self.assertEqual(int(line["resync_pages"]), expected_pages)
            self.assertEqual(txid, point[1] + 1, "not one transaction")
            self.assertEqual(timeline, point[0] + (outcome == DEPARTED))
            self.assertEqual(snapshots, [])
            self.assertEqual(len(logs), 1, "not one segment")
            size = page_size_of(self.database_path)
            self.assertLess(sum(logs.values()), expected_pages * (size + 100) + 4096, "more than the pages that differ")


class Down(Situation):
    """The hand acts while no daemon runs."""

    def run_hand(self, hand):
        self.make_history()
        if hand.down == CONTINUED:
            self.hold()
            self.write(self.database_path, 1)
            self.once()
        point, before, keys = self.newest_point(), self.restore(self.replica), set(self.replica.keys())
        hand.act(self)
        after = self.image(self.path("after.db"))
        result = self.once()
        following = [line for line in map(parse_fields, result.err.splitlines()) if line.get("event") == "following"]
        expected = 0 if hand.down in (CONTINUED, BEGUN, RETURNED) else self.differing_count(before, after)
        stored = {key: size for key, size in self.replica.keys().items() if key not in keys}
        self.check_outcome(hand.down, point, expected, following[0] if following else {}, stored)
        self.check_history_stays()
        self.check_newest()
        self.write(self.database_path, 3)
        self.once()
        self.check_newest()


class Running(Situation):
    """The hand acts beside a daemon that follows."""

    def wait_same(self, daemon, what):
        wait_for(self.is_same, what=what, pause=0.1)

    def check_resyncs(self, hand, point, expected_pages, daemon, stored):
        """The daemon may look between the two steps of a hand (the log is gone, the file is not there yet): then twice."""
        resyncs = [line for line in daemon.events("following", "resynced") if line.get("continuity") != "unchanged"]
        resyncs = [line for line in resyncs if line.get("continuity") != "continued"]
        if len(resyncs) == 1 and hand.act not in IN_PLACE and resyncs[0]["event"] == "following":
            self.check_outcome(hand.running, point, expected_pages, resyncs[0], stored)
            return
        self.assertIn(len(resyncs), range(1, 9), daemon.log())
        self.assertLessEqual(self.newest_point()[1], point[1] + len(resyncs) + 1)
        self.assertEqual([key for key in stored if "/snapshot/" in key], [])

    def run_hand(self, hand):
        self.make_history()
        daemon = self.daemon(self.database_path, self.replica)
        self.write(self.database_path, 3)
        self.wait_same(daemon, "the daemon has caught up")
        point, before, keys = self.newest_point(), self.restore(self.replica), set(self.replica.keys())
        if hand.running == LOCKED:
            with self.assertRaisesRegex(sqlite3.OperationalError, "locked"):
                hand.act(self)
            self.write(self.database_path, 2)
        else:
            hand.act(self)
        after = self.image(self.path("after.db"))
        if hand.act in IN_PLACE:
            self.write(self.database_path, 1)  # what wakes the daemon before its minute is over
        self.wait_same(daemon, f"after {hand.name}")
        following = daemon.events("following")
        stored = {key: size for key, size in self.replica.keys().items() if key not in keys}
        if hand.running in (CONTINUED, LOCKED):
            self.assertEqual(len(following), 1, daemon.log())
            self.assertEqual(daemon.events("resynced"), [])
            self.assertEqual(self.newest_point()[0], point[0])
        elif hand.running == RETURNED:
            self.check_outcome(RETURNED, point, 0, {}, stored)
        else:
            self.check_resyncs(hand, point, self.differing_count(before, after), daemon, stored)
        self.check_history_stays()
        self.write(self.database_path, 3)
        self.assertEqual(daemon.stop(), DONE, daemon.log())
        self.check_newest()


def _add_table(cls, situation):
    for hand in HANDS:
        def test(self, hand=hand):
            self.run_hand(hand)
        test.__doc__ = f"{situation}: {hand.name}"
        setattr(cls, f"test_{hand.name}", test)


_add_table(Down, "while the daemon is down")
_add_table(Running, "beside the daemon")


@expand
class StateFolderLost(Situation):
    """The replica's page indexes stand in for the state folder: no page is uploaded that is there already."""

    def lose_state(self):
        shutil.rmtree(self.path(".app.db-seawal"))

    @both_stores
    def test_nothing_changed(self, replica):
        """The file equals the newest digest: the history goes on where it was, and nothing is uploaded."""
        self.make_history(replica)
        point, before = self.newest_point(), replica.keys()
        self.lose_state()
        self.once()
        self.assertEqual([key for key in replica.keys() if key not in before and not key.startswith("timelines/")], [])
        self.assertEqual(self.newest_point()[1], point[1])
        self.write(self.database_path, 3)
        self.once()
        self.check_history_stays()
        self.check_newest()

    @both_stores
    def test_database_changed(self, replica):
        """A descendant of what the replica holds: a new timeline from there, of the pages that differ."""
        self.make_history(replica)
        point, before, keys = self.newest_point(), self.restore(replica), set(replica.keys())
        self.lose_state()
        self.write(self.database_path, 2)
        expected = self.differing_count(before, self.image(self.path("after.db")))
        result = self.once()
        following = [line for line in map(parse_fields, result.err.splitlines()) if line.get("event") == "following"]
        stored = {key: size for key, size in replica.keys().items() if key not in keys}
        self.check_outcome(DEPARTED, point, expected, following[0], stored)
        self.check_history_stays()
        self.check_newest()


class Refused(Situation):
    """A database that is not the replica's: no, with what to do, and neither the replica nor the state folder changes."""

    def make_unrelated(self, path, rows=1):
        with workload.closing(path) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("CREATE TABLE other(a)")
            if rows:
                connection.execute("INSERT INTO other SELECT randomblob(9000)")

    def check_refused(self, text, before):
        self.assertIn("-new-timeline", text)
        self.assertIn("restore", text)
        self.assertEqual(self.sides(), before)

    def sides(self):
        """What must stay: the replica, and what the state folder says (its lock names the last process)."""
        state = file_tree(self.path(".app.db-seawal"))
        del state["lock"]
        return file_tree(self.replica.path), state

    def at_start(self, rows):
        self.make_history()
        remove_database(self.database_path)
        self.make_unrelated(self.database_path, rows)
        before = self.sides()
        self.check_refused(self.once(expect=FAILED).err, before)
        self.check_refused(self.once(expect=FAILED).err, before)
        self.once("-new-timeline")
        self.check_newest()
        self.check_history_stays_in_parent()

    def test_unrelated_at_start(self):
        self.at_start(rows=1)

    def test_empty_at_start(self):
        self.at_start(rows=0)

    def check_history_stays_in_parent(self):
        again = self.restore(self.replica, "-timeline", "1", "-txid", str(self.early_txid))
        self.assertEqual(differing_pages(self.early, again), [])

    def test_at_start_without_state(self):
        """Only the replica is there to go by; the state that is made to look is no state to go on from."""
        self.make_history()
        remove_database(self.database_path)
        shutil.rmtree(self.path(".app.db-seawal"))
        self.make_unrelated(self.database_path)
        replica = file_tree(self.replica.path)
        for _ in range(2):
            self.assertIn("-new-timeline", self.once(expect=FAILED).err)
            self.assertEqual(file_tree(self.replica.path), replica)
        self.once("-new-timeline")
        self.check_newest()
        self.check_history_stays_in_parent()

    def beside_the_daemon(self, rows):
        self.make_history()
        daemon = self.daemon(self.database_path, self.replica)
        point = self.newest_point()
        self.write(self.database_path, 2)
        wait_for(daemon.durable, what="durable", until=lambda found: found >= point[1] + 2)
        other = self.path("other.db")
        self.make_unrelated(other, rows)
        before = file_tree(self.replica.path)
        remove_database(self.database_path)
        os.rename(other, self.database_path)
        wait_for(lambda: daemon.process.poll() is not None, what="it ends, since nothing is left to replicate")
        self.assertEqual(daemon.process.returncode, FAILED)
        self.assertEqual(file_tree(self.replica.path), before)
        refusal, = daemon.events("replication refused")
        self.assertIn("-new-timeline", refusal["error"])
        self.assertIn("restore", refusal["error"])
        self.check_refused(self.once(expect=FAILED).err, self.sides())

    def test_unrelated_beside_the_daemon(self):
        self.beside_the_daemon(rows=1)

    def test_empty_beside_the_daemon(self):
        self.beside_the_daemon(rows=0)


class StateSetBack(Situation):
    """A state folder that is older than the replica: two histories never share a timeline, and it is said."""

    def setUp(self):
        super().setUp()
        self.make_history()

    def keep(self, *names):
        """Copies of files as they are now; put back by put_back()."""
        kept = self.path(f"kept-{self.next_number()}")
        os.makedirs(kept)
        for name in names:
            if os.path.isdir(self.path(name)):
                shutil.copytree(self.path(name), os.path.join(kept, name))
            elif os.path.exists(self.path(name)):
                shutil.copy2(self.path(name), os.path.join(kept, name))
        return kept

    def put_back(self, kept, *names):
        """The old bytes in the files that are there now, as a file system that was set back has them."""
        for name in names:
            if os.path.isdir(os.path.join(kept, name)):
                for base, _, old in os.walk(self.path(name)):
                    for file in old:
                        if not os.path.exists(os.path.join(kept, os.path.relpath(base, self.scratch), file)):
                            os.unlink(os.path.join(base, file))
                shutil.copytree(os.path.join(kept, name), self.path(name), dirs_exist_ok=True)
            elif os.path.exists(os.path.join(kept, name)):
                shutil.copyfile(os.path.join(kept, name), self.path(name))
            elif os.path.exists(self.path(name)):
                os.unlink(self.path(name))

    FILES = ("app.db", "app.db-wal", "app.db-shm")

    def go_on(self, transactions):
        self.write(self.database_path, transactions)
        self.once()

    def check_departed(self, lost, result=None):
        """A new timeline, said; what the future wrote stays restorable, page for page."""
        if result:
            self.assertIn("level=warn event=\"the history goes on from the replica, not from the local state\"", result.err)
        self.assertEqual(self.history(self.replica)["newest_timeline"], "00000002")
        self.check_history_stays()
        self.check_newest()
        restored = self.restore(self.replica, "-timeline", "1")
        self.assertEqual(differing_pages(lost, restored), [])

    def test_whole_machine(self):
        """Database and state folder are set back, the replica is not; nothing was written since."""
        kept = self.keep(".app.db-seawal", *self.FILES)
        self.go_on(5)
        lost = self.restore(self.replica)
        self.put_back(kept, ".app.db-seawal", *self.FILES)
        self.check_departed(lost, self.once())
        self.go_on(3)
        self.check_newest()

    def test_whole_machine_and_fewer_commits(self):
        """The machine goes on with fewer transactions than the replica has."""
        kept = self.keep(".app.db-seawal", *self.FILES)
        for _ in range(3):
            self.go_on(5)
        lost = self.restore(self.replica)
        self.put_back(kept, ".app.db-seawal", *self.FILES)
        self.write(self.database_path, 2)
        self.check_departed(lost, self.once())

    def test_whole_machine_and_more_commits(self):
        """The machine goes on with more: the numbers run past those of the replica before it is looked at."""
        self.hold()
        self.write(self.database_path, 1)
        self.once()
        kept = self.keep(".app.db-seawal", *self.FILES)
        self.go_on(3)
        lost = self.restore(self.replica)
        self.release()
        self.put_back(kept, ".app.db-seawal", *self.FILES)
        self.hold()
        self.write(self.database_path, 9)
        result = self.once()
        self.assertIn("continuity=continued", result.err)
        self.check_departed(lost, result)

    def test_state_folder_alone(self):
        """The database is the newest, its state folder is not: one transaction of what differs, if anything."""
        kept = self.keep(".app.db-seawal")
        for _ in range(3):
            self.go_on(4)
        lost = self.restore(self.replica)
        self.put_back(kept, ".app.db-seawal")
        before = self.replica.keys()
        result = self.once()
        self.assertEqual([key for key in self.replica.keys() if key not in before], ["timelines/00000002.json"])
        self.go_on(1)
        self.check_departed(lost, result)

    def test_while_the_store_is_away(self):
        """Captured into the spool without a look at the replica; found when the store is back."""
        kept = self.keep(".app.db-seawal", *self.FILES)
        for _ in range(2):
            self.go_on(4)
        lost = self.restore(self.replica)
        self.put_back(kept, ".app.db-seawal", *self.FILES)
        os.rename(self.replica.path, self.replica.path + "-away")
        with open(self.replica.path, "w", encoding="ascii"):
            pass  # a file in the folder's place: the store cannot be asked
        daemon = self.daemon(self.database_path, self.replica)
        self.write(self.database_path, 30)
        wait_for(lambda: daemon.events("captured") and daemon.events("failed"), what="captured, not stored")
        os.unlink(self.replica.path)
        os.rename(self.replica.path + "-away", self.replica.path)
        wait_for(lambda: self.newest_point()[0], what="a timeline of its own", until=lambda timeline: timeline == 2)
        self.write(self.database_path, 2)
        self.assertEqual(daemon.stop(), DONE, daemon.log())
        self.check_departed(lost)


class StateDamaged(Situation):
    """Each file of the state folder gone, cut, overwritten, or an older one: the newest is still the source's, and it is said."""

    def setUp(self):
        super().setUp()
        self.make_history()

    def state_files(self):
        """Names of what matters; the lock and what `status` reads do not."""
        folder = self.path(".app.db-seawal")
        found = [os.path.relpath(os.path.join(base, name), folder) for base, _, names in os.walk(folder) for name in names]
        return sorted(name for name in found if name not in ("lock", "durable", "undo"))

    def damage(self, how, path, old):
        with open(path, "rb") as stream:
            body = stream.read()
        if how == "removed":
            os.unlink(path)
            return
        if how == "older":
            body = old or body[:-1]
        elif how == "cut":
            body = body[:len(body) // 2]
        elif how == "garbage":
            body = self.random.randbytes(len(body))
        else:
            place = self.random.randrange(min(len(body), 6000))
            body = body[:place] + bytes((body[place] ^ 0x40,)) + body[place + 1:]
        with open(path, "r+b") as stream:
            stream.truncate()
            stream.write(body)

    def damage_each(self, how):
        folder = self.path(".app.db-seawal")
        for number in range(len(self.state_files())):
            self.write(self.database_path, 2)
            self.once()
            old = {name: open(os.path.join(folder, name), "rb").read() for name in self.state_files()}  # pylint: disable=consider-using-with
            self.write(self.database_path, 3)
            self.once()
            self.write(self.database_path, 1)
            before, (_, txid) = self.replica.keys(), self.newest_point()
            name = self.state_files()[number]
            with self.subTest(file=name):
                self.damage(how, os.path.join(folder, name), old.get(name))
                result = self.once()
                self.assertIn("level=warn", result.err)
                self.check_newest()
                self.check_history_stays()
                self.assertGreater(self.newest_point()[1], txid)
                new = {key: size for key, size in self.replica.keys().items() if key not in before}
                self.assertEqual([key for key in new if "/snapshot/" in key], [], result.err)
                self.assertLess(sum(new.values()), 200 << 10)

    def test_removed(self):
        self.damage_each("removed")

    def test_cut(self):
        self.damage_each("cut")

    def test_garbage(self):
        self.damage_each("garbage")

    def test_one_bit(self):
        self.damage_each("bit")

    def test_older(self):
        self.damage_each("older")


def lose_state(case):
    case.release()
    shutil.rmtree(case.path(".app.db-seawal"), ignore_errors=True)


def nothing(case):
    """A restart."""


# Beside the hands of the table; these make sense only while no daemon runs.
DOWN_ALONE = (
    Hand("state_folder_lost", lose_state, None, None),
    Hand("nothing", nothing, None, None),
)


class Sequence(Situation):
    """Hands in any order, on a daemon that is up, down or killed: the newest is the source's each time, and what was stays."""

    STEPS = 40 if LONG else 6

    def choose(self, hands):
        hand = self.random.choice(hands)
        self.names.append(hand.name)
        return hand

    def act_down(self):
        for _ in range(self.random.choice((1, 1, 2, 3))):
            self.choose(HANDS + DOWN_ALONE).act(self)

    def act_beside(self, daemon):
        hand = self.choose(HANDS)
        try:
            hand.act(self)
        except sqlite3.OperationalError as problem:
            self.assertEqual((hand.running, "locked" in str(problem)), (LOCKED, True), str(problem))
        self.write(self.database_path, 1)  # what wakes the daemon before its minute is over

        def settled():
            return daemon.process.poll() is not None or self.is_same()
        wait_for(settled, what=f"after {self.names}", pause=0.1)

    def come_back(self):
        """One run; an operator answers where a database has too little in common with its history."""
        result = self.seawal("replicate", "-once", self.database_path, self.replica.url)
        if result.code == FAILED and "-new-timeline" in result.err:
            self.names.append("(new timeline)")
            result = self.once("-new-timeline")
        self.assertEqual(result.code, DONE, str(result))
        self.check_newest()
        self.check_history_stays()

    def step(self):
        how = self.random.choice(("down", "down", "up", "killed"))
        self.names.append(f"{how}:")
        if how == "down":
            self.act_down()
            return
        daemon = self.daemon(self.database_path, self.replica)
        if how == "up":
            self.act_beside(daemon)
            if daemon.process.poll() is None:
                self.assertEqual(daemon.stop(), DONE, daemon.log())
            return
        self.write(self.database_path, self.random.randrange(20))
        daemon.kill()
        self.act_down()

    def test_hands_in_any_order(self):
        self.names = []
        self.make_history()
        for _ in range(self.STEPS):
            try:
                self.step()
                self.come_back()
            except (AssertionError, sqlite3.Error) as problem:
                raise AssertionError(f"{' '.join(self.names)}\n{problem}") from problem
