#!/usr/bin/env python3
"""Print "passed failed skipped" of a meson test log (meson-logs/testlog.json), and to standard error why cases were skipped.

    meson_counts.py LOG              the three numbers
    meson_counts.py --failures LOG   one line for each program that failed: its name and what it complained of last

A program that says how many cases it ran (cmocka does) counts as that many, others as one. A case that skips prints
a line "SKIP: why" before.
"""
import json
import re
import sys


def cases(entry):
    """(passed, failed, skipped) of one program."""
    text = entry.get("stdout", "") + entry.get("stderr", "")
    passed, failed, skipped = (sum(int(number) for number in re.findall(
        r"^\[  %s\s*\] (\d+) test\(s\)" % word, text, re.M)) for word in ("PASSED", "FAILED", "SKIPPED"))
    result = entry["result"]
    if result == "SKIP":
        return 0, 0, 1
    if result in ("OK", "EXPECTEDFAIL"):
        return max(passed, 0 if skipped else 1), 0, skipped
    return passed, max(failed, 1), skipped


def complaint(entry):
    """The last line that tells what was wrong; how the program ended where no line does."""
    lines = [line.strip() for line in (entry.get("stdout", "") + entry.get("stderr", "")).splitlines()]
    loud = [line for line in lines if re.search(r"error|fail|assert|exception|sanitizer|differ", line, re.I)
        and not re.search(r"^\[  (PASSED|FAILED|SKIPPED) +\]|^\d+ FAILED TEST|^\[ +FAILED +\]|^FAILED \(", line)]
    return f"{entry['result']} ({entry.get('returncode')}): {' | '.join((loud or lines or ['said nothing'])[-2:])[:400]}"


def print_failures(path):
    with open(path, encoding="utf-8") as lines:
        for entry in map(json.loads, lines):
            if cases(entry)[1]:
                print(f"{entry['name']}: {complaint(entry)}")


def main():
    if sys.argv[1] == "--failures":
        print_failures(sys.argv[2])
        return
    totals = [0, 0, 0]
    with open(sys.argv[1], encoding="utf-8") as lines:
        for line in lines:
            entry = json.loads(line)
            counts = cases(entry)
            totals = [total + more for total, more in zip(totals, counts)]
            if counts[2]:
                reasons = re.findall(r"^SKIP: (.*)", entry.get("stdout", "") + entry.get("stderr", ""), re.M)
                print(f"skipped in {entry['name']}: {'; '.join(reasons) or 'no reason given'}", file=sys.stderr)
    print(*totals)


if __name__ == "__main__":
    main()
