#!/usr/bin/env python3
"""The database that the tests write to, what is true of each of its states, and a writer in Python.

Each transaction adds a row to ledger: its number, its writer, the sum of the hashes of all rows of
items and pairs after it, and their count. check_state() recomputes that from the tables, so any state
proves itself; comparing ledger rows with another copy proves that it is a prefix of the same history.

    workload.py DB ID SEED SECONDS BUSY_TIMEOUT_MS RECORD     a writer, like writer.c
"""
import os
import random
import signal
import sqlite3
import sys
import time
import zlib

MASK = (1 << 64) - 1

SCHEMA = """
CREATE TABLE ledger(seq INTEGER PRIMARY KEY, writer INTEGER, sum INTEGER, count INTEGER);
CREATE TABLE items(id INTEGER PRIMARY KEY, tag INTEGER, body BLOB);
CREATE INDEX items_tag ON items(tag);
CREATE TABLE pairs(name TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID;
CREATE VIRTUAL TABLE documents USING fts5(body);
"""


def create(path, page_size=4096, auto_vacuum=0):
    """A new database in WAL mode with the schema and nothing else."""
    with closing(path) as connection:
        connection.execute(f"PRAGMA page_size={page_size}")
        connection.execute(f"PRAGMA auto_vacuum={auto_vacuum}")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript("BEGIN;" + SCHEMA + "COMMIT;")


class closing:
    """A connection in autocommit mode that is closed at the end of the block."""

    def __init__(self, path, timeout=30.0):
        self.connection = sqlite3.connect(path, timeout=timeout, isolation_level=None)

    def __enter__(self):
        return self.connection

    def __exit__(self, *_):
        self.connection.close()


def row_hash(identity, body):
    mixed = (identity * 0xC2B2AE3D27D4EB4F & MASK) ^ zlib.crc32(body)
    return mixed * 0x9E3779B97F4A7C15 & MASK


def pair_id(name):
    return zlib.crc32(name.encode()) | 1 << 40


def signed(value):
    """VALUE modulo 2^64 as SQLite holds it."""
    value &= MASK
    return value - (1 << 64) if value >> 63 else value


def table_sum(connection):
    """Sum and number of the rows as they are, from the tables themselves."""
    total = count = 0
    for identity, body in connection.execute("SELECT id, body FROM items"):
        total += row_hash(identity, body)
        count += 1
    for name, value in connection.execute("SELECT name, value FROM pairs"):
        total += row_hash(pair_id(name), value)
        count += 1
    return signed(total), count


def newest(connection):
    """(seq, sum, count) of the newest transaction; zeros before the first."""
    row = connection.execute("SELECT seq, sum, count FROM ledger ORDER BY seq DESC LIMIT 1").fetchone()
    return row or (0, 0, 0)


def check_state(connection):
    """The transaction this state is of; AssertionError when the tables are not what it left."""
    seq, total, count = newest(connection)
    found = table_sum(connection)
    assert found == (total, count), f"state {seq}: tables give {found}, ledger says {(total, count)}"
    rows, = connection.execute("SELECT count(*) FROM ledger").fetchone()
    assert rows == seq, f"state {seq}: the ledger has {rows} rows"
    return seq


def read_record(paths):
    """{seq: (sum, count)} of what the applications know that they committed."""
    record = {}
    for path in paths:
        if not os.path.exists(path):
            continue
        with open(path, encoding="ascii") as lines:
            for line in lines:
                if not line.endswith("\n"):  # one that is being written
                    break
                seq, total, count = (int(word) for word in line.split())
                assert seq not in record, f"transaction {seq} was committed twice"
                record[seq] = (signed(total), count)
    return record


class Writer:
    """The same transactions as writer.c, from Python."""

    def __init__(self, path, identity, seed, busy_timeout_ms=5000, record=None):
        self.connection = sqlite3.connect(path, timeout=busy_timeout_ms / 1000, isolation_level=None)
        self.identity = identity
        self.random = random.Random(seed)
        self.record = open(record, "a", encoding="ascii", buffering=1) if record else None
        self.committed = self.busy = 0

    def close(self):
        self.connection.close()
        if self.record:
            self.record.close()

    def body(self):
        size = self.random.choice((20, 100, 300, 900, 5000, 12000))
        size = self.random.randint(1, size)
        return self.random.randbytes(size) if size % 2 else b"abcdefgh" * (size // 8 + 1)

    def change(self, total, count):
        execute, choice = self.connection.execute, self.random.random()
        if choice < 0.2:
            name = f"user/{self.random.randint(0, 400)}/session"
            old = execute("SELECT value FROM pairs WHERE name = ?", (name,)).fetchone()
            if old:
                total, count = total - row_hash(pair_id(name), old[0]), count - 1
            body = self.body()
            execute("INSERT OR REPLACE INTO pairs VALUES(?, ?)", (name, body))
            return total + row_hash(pair_id(name), body), count + 1
        if choice < 0.25:
            words = " ".join(f"word{self.random.randint(0, 3000)}" for _ in range(30))
            execute("INSERT INTO documents(body) VALUES(?)", (words,))
            return total, count
        identity = self.random.getrandbits(45)
        if choice < 0.6 and count < 1500:
            body = self.body()
            execute("INSERT INTO items VALUES(?, ?, ?)", (identity, self.random.randint(0, 999), body))
            return total + row_hash(identity, body), count + 1
        old = execute("SELECT id, body FROM items WHERE id >= ? ORDER BY id LIMIT 1", (identity,)).fetchone()
        if not old:
            return total, count
        total -= row_hash(*old)
        if choice > 0.88 or count >= 1500:
            execute("DELETE FROM items WHERE id = ?", (old[0],))
            return total, count - 1
        body = self.body()
        execute("UPDATE items SET body = ? WHERE id = ?", (body, old[0]))
        return total + row_hash(old[0], body), count

    def transact(self, operations=None):
        """One transaction; False when somebody else held the lock and we would not wait."""
        try:
            self.connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) and "busy" not in str(error):
                raise
            self.busy += 1
            return False
        seq, total, count = newest(self.connection)
        for _ in range(operations or self.random.randint(1, 8)):
            total, count = self.change(total, count)
        total = signed(total)
        self.connection.execute("INSERT INTO ledger VALUES(?, ?, ?, ?)", (seq + 1, self.identity, total, count))
        self.connection.execute("COMMIT")
        self.committed += 1
        if self.record:
            self.record.write(f"{seq + 1} {total} {count}\n")
        return True


def main():
    path, identity, seed, seconds, timeout, record = sys.argv[1:7]
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    writer = Writer(path, int(identity), int(seed), int(timeout), record)
    end = time.monotonic() + float(seconds)
    while not stop and time.monotonic() < end:
        if not writer.transact():
            time.sleep(writer.random.uniform(0.0002, 0.003))
        time.sleep(0.0005)
    print(f"committed {writer.committed} busy {writer.busy}")
    writer.close()


if __name__ == "__main__":
    main()
