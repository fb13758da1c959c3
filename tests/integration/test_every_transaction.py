"""Every shipped transaction restores: to exactly the state that the application knows of."""
import time

import workload
from harness import DONE, PATIENCE, Case, both_stores, expand, wait_for


@expand
class EveryTransaction(Case):
    @both_stores
    def test_random_transactions(self, replica):
        """200 random txids from a folder (60 from S3): each equals the application's own record."""
        sample_count = 200 if replica.kind == "folder" else 60
        path = self.database(transactions=10)
        daemon = self.daemon(path, replica)
        self.wait_restorable(replica, 10)
        records = [self.path(f"record-{number}") for number in range(4)]
        writers = [self.start_writer(path, record, id=number, seed=self.random.getrandbits(30),
            mix=("small", "mixed", "small", "big")[number], count=(150, 120, 150, 15)[number], pause_us=3000)
            for number, record in enumerate(records)]
        for writer in writers:
            self.assertEqual(writer.wait(PATIENCE), 0)
        self.assertEqual(daemon.stop(), DONE, daemon.log())

        record = workload.read_record(records)
        self.assertEqual(sorted(record), list(range(11, 11 + len(record))))
        self.assertEqual(len(record), 435)
        # txid 1 is the state when the daemon first saw it (10), and each commit is one txid.
        last = len(record) + 1
        self.assertEqual(self.restored_state(replica), last + 9)
        self.restore(replica, "-txid", str(last + 1), expect=3)
        for txid in sorted(self.random.sample(range(2, last + 1), sample_count)) + [last]:
            restored = self.restore(replica, "-txid", str(txid))
            with workload.closing(restored) as connection:
                seq = workload.check_state(connection)
                self.assertEqual(seq, txid + 9)
                self.assertEqual(workload.newest(connection)[1:], record[seq])
        with workload.closing(path) as connection:
            self.assertEqual(workload.check_state(connection), last + 9)


@expand
class Snapshots(Case):
    @both_stores
    def test_points_during_the_first_snapshot(self, replica):
        """A database that is written while its first snapshot is read: each txid offered restores."""
        path = self.database(transactions=10)
        with workload.closing(path) as connection:
            connection.execute("CREATE TABLE ballast(id INTEGER PRIMARY KEY, body BLOB)")
            connection.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
                " WHERE i < 60000) INSERT INTO ballast SELECT i, randomblob(900) FROM n")
        writer = self.start_writer(path, self.path("record"), mix="mixed", pause_us=2000)
        daemon = self.daemon(path, replica, sync_interval="0s")
        wait_for(lambda: replica.segments("snapshot"), what="a snapshot")
        time.sleep(1)
        writer.terminate()
        self.assertEqual(writer.wait(PATIENCE), 0)
        self.assertEqual(daemon.stop(), DONE)
        record = workload.read_record([self.path("record")])
        newest = self.state(self.restore(replica))
        self.assertEqual(newest, max(record))
        self.assertGreater(len(replica.segments("snapshot")), 0)
        offered = [(window["first_txid"], window["last_txid"]) for window in windows(self.history(replica))]
        first, last = min(offered)[0], max(offered)[1]
        states = []
        for txid in sorted({first, last, *(self.random.randint(first, last) for _ in range(25))}):
            restored = self.restore(replica, "-txid", str(txid))
            with workload.closing(restored) as connection:
                states.append((txid, workload.check_state(connection)))
        offsets = {txid - seq for txid, seq in states}
        self.assertEqual(len(offsets), 1, states)
        if first > 1:
            self.restore(replica, "-txid", str(first - 1), expect=3)


def windows(history):
    """The ranges of transactions that history offers."""
    return [window for timeline in history["timelines"] for window in timeline["windows"]]
