"""kill -9 of the daemon and of writers at random moments, again and again.

SEAWAL_ROUNDS sets the number of rounds (default 200, 5,000 in the long mode).
"""
import os
import time

import workload
from harness import DONE, LONG, NOT_THERE, SEED, Case, wait_for

ROUNDS = int(os.environ.get("SEAWAL_ROUNDS", 5000 if LONG else 200))


class Kill(Case):
    def start_one(self, number):
        self.writer_count += 1
        return self.start_writer(self.database_path, id=number, seed=self.random.getrandbits(30),
            mix=("small", "mixed", "small", "big")[number], pause_us=8000, busy_timeout=(5000, 0)[number % 2])

    def check_prefix(self, restored, round_number):
        """RESTORED is a state of the source's own history; its transaction number."""
        with workload.closing(restored) as copy, workload.closing(self.database_path) as source:
            seq = workload.check_state(copy)
            question = "SELECT count(*), max(seq), sum(sum % 1000003 * (seq % 1009)), sum(writer) FROM ledger WHERE seq <= ?"
            self.assertEqual(copy.execute(question, (seq,)).fetchone(), source.execute(question, (seq,)).fetchone(),
                f"round {round_number}: state {seq} is not one of the source")
            if round_number % 10 == 0:
                self.assertEqual(copy.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
        return seq

    def is_restorable(self, replica):
        """Whether there is a snapshot, and the log from where it began to where it ended; both take a while at first."""
        result = self.seawal("restore", "-dry-run", "-o", self.path("unused"), replica.url)
        self.assertIn(result.code, (DONE, NOT_THERE), str(result))
        return result.code == DONE

    def one_round(self, replica, daemon, writers, round_number):
        if round_number % 4 == 3:  # a slow machine has rounds with something durable as well
            wait_for(daemon.durable, what="something durable")
        time.sleep(self.random.choice((0.0, 0.05, 0.2, 0.5, 0.8)) * self.random.random())
        if self.random.random() < 0.4:
            victim = self.random.randrange(len(writers))
            writers[victim].kill()
            writers[victim].wait()
            self.processes.remove(writers[victim])
            writers[victim] = None
        daemon.kill()
        durable = daemon.durable()
        for number, writer in enumerate(writers):
            if writer is None:
                writers[number] = self.start_one(number)
        if not durable and not self.is_restorable(replica):
            return 0
        seq = self.check_prefix(restored := self.restore(replica), round_number)
        if durable:
            at_durable = self.restore(replica, "-txid", str(durable))
            self.assertLessEqual(self.check_prefix(at_durable, round_number), seq)
            os.unlink(at_durable)
        os.unlink(restored)
        return seq

    def test_rounds(self):
        """After each round the replica restores to a prefix of what was committed, with all that was durable."""
        replica = self.folder()
        self.database_path = self.database(transactions=20)
        self.writer_count = 0
        writers = [self.start_one(number) for number in range(4)]
        daemon = self.daemon(self.database_path, replica, start=False)
        newest = durable_rounds = 0
        for round_number in range(ROUNDS):
            try:
                daemon.start(wait=self.random.random() < 0.7)
                seq = self.one_round(replica, daemon, writers, round_number)
                self.assertGreaterEqual(seq, newest, "the replica lost what it had")
            except Exception as problem:  # pylint: disable=broad-except
                raise AssertionError(f"round {round_number}, SEAWAL_SEED={SEED}: {problem}") from problem
            durable_rounds += daemon.durable() > 0
            newest = seq
        self.assertGreater(durable_rounds, ROUNDS // 20, "hardly any round had something durable: nothing was tested")
        for writer in writers:
            writer.terminate()
            writer.wait()
        daemon.start()
        self.assertEqual(daemon.stop(), DONE, daemon.log())
        restored = self.restore(replica)
        self.check_same(self.database_path, restored)
