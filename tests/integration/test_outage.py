"""The store is away for a while: nothing is lost, nobody has to restart anything."""
import os
import time

import workload
from harness import COULD_NOT_TELL, DONE, FAILED, SANITIZED, Case, S3Server, peak_memory, wait_for


class Outage(Case):
    def setUp(self):
        super().setUp()
        self.server = S3Server()
        self.addCleanup(self.server.stop)
        self.replica = self.bucket(self.server)

    def test_server_down_for_a_while(self):
        """Writes go on while the server is down; all of it arrives once it is back, in bounded memory."""
        path = self.database(transactions=10)
        daemon = self.daemon(path, self.replica)
        self.wait_restorable(self.replica, 10)
        self.server.down()
        durable = daemon.durable()
        writer = self.start_writer(path, self.path("record"), mix="mixed", seconds=12, pause_us=1000)
        self.assertEqual(writer.wait(60), 0)
        self.assertIsNone(daemon.process.poll(), daemon.log())
        self.assertEqual(daemon.durable(), durable, "called durable while the store was away")
        self.assertLess(os.path.getsize(path + "-wal"), 64 << 20, "the log was not let go into the spool")
        self.server.up()
        last = max(workload.read_record([self.path("record")]))
        self.wait_restorable(self.replica, last)
        peak = peak_memory(daemon.process.pid)
        self.assertEqual(daemon.stop(), DONE, daemon.log())
        if not SANITIZED:  # sanitizers take memory of their own
            self.assertLessEqual(peak, 24 << 20, f"{peak >> 20} MB")
        self.check_same(path, self.restore(self.replica))

    def test_server_that_does_not_answer(self):
        """It accepts connections and says nothing: the log is still let go, and all arrives afterwards."""
        path = self.database(transactions=10)
        daemon = self.daemon(path, self.replica)
        self.wait_restorable(self.replica, 10)
        self.server.pause()
        try:
            writer = self.start_writer(path, self.path("record"), mix="mixed", seconds=5, pause_us=500)
            self.assertEqual(writer.wait(60), 0)
            self.assertLess(os.path.getsize(path + "-wal"), 64 << 20)
        finally:
            self.server.resume()
        last = max(workload.read_record([self.path("record")]))
        self.wait_restorable(self.replica, last)
        self.assertEqual(daemon.stop(), DONE, daemon.log())
        self.check_same(path, self.restore(self.replica))

    def test_restart_during_the_outage(self):
        """Killed and started again while the store is away: the spool still brings everything."""
        path = self.database(transactions=10)
        daemon = self.daemon(path, self.replica)
        self.wait_restorable(self.replica, 10)
        self.server.down()
        self.write(path, 20)
        time.sleep(0.5)
        daemon.kill()
        daemon.start(wait=False)
        self.write(path, 20)
        time.sleep(1)
        self.assertIsNone(daemon.process.poll(), daemon.log())
        self.server.up()
        self.wait_restorable(self.replica, 50)
        self.assertEqual(daemon.stop(), DONE, daemon.log())
        self.check_same(path, self.restore(self.replica))

    def test_started_without_a_store(self):
        """The first start ever, with the store away: it waits for it."""
        path = self.database(transactions=10)
        self.server.down()
        daemon = self.daemon(path, self.replica, start=False)
        daemon.start(wait=False)
        self.write(path, 5)
        time.sleep(2)
        self.assertIsNone(daemon.process.poll(), daemon.log())
        self.server.up()
        self.wait_restorable_when_made(15)
        self.assertEqual(daemon.stop(), DONE, daemon.log())
        self.check_same(path, self.restore(self.replica))

    def wait_restorable_when_made(self, seq):
        wait_for(lambda: self.replica.segments("snapshot"), 120, "a snapshot")
        self.wait_restorable(self.replica, seq)

    def test_stop_during_the_outage(self):
        """TERM while the store is away: it ends in time, and says that not all is durable."""
        path = self.database(transactions=10)
        daemon = self.daemon(path, self.replica)
        self.wait_restorable(self.replica, 10)
        self.server.down()
        self.write(path, 20)
        self.assertIn(daemon.stop(), (FAILED, COULD_NOT_TELL), daemon.log())
        self.server.up()
        daemon.start()
        self.assertEqual(daemon.stop(), DONE)
        self.check_same(path, self.restore(self.replica))

    def test_restore_without_a_store(self):
        """Could not tell is not the same as not there."""
        path = self.database(transactions=10)
        result = self.seawal("replicate", "-once", path, self.replica.url, environment=self.replica.environment)
        self.assertEqual(result.code, DONE, str(result))
        self.server.down()
        self.restore(self.replica, expect=COULD_NOT_TELL, seconds=200)
        self.server.up()
        self.assertEqual(self.restored_state(self.replica), 10)
