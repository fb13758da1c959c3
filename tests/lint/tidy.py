#!/usr/bin/env python3
"""tidy - the rules of the house that a machine can check

    tests/lint/tidy.py [ROOT]

Prints one line for each breach, `path:line: what`, and exits with 1 when there is any. Run by meson as the
test `tidy`; test_tidy.py beside this file shows that every check can fail.
"""
import re
import shutil
import subprocess
import sys
from pathlib import Path

# What a layer may include, besides itself. One line a layer, lowest first.
LAYERS = {
    "base": [],
    "codec": ["base"],
    "sqlite": ["base", "codec"],
    "segment": ["base", "codec"],
    "net": ["base", "codec"],
    "store": ["base", "codec", "net"],
    "capture": ["base", "codec", "sqlite", "segment"],
    "replica": ["base", "codec", "segment", "store"],
    "config": ["base"],
    "daemon": ["base", "codec", "sqlite", "segment", "net", "store", "capture", "replica", "config"],
    "cmd": [
        "base", "codec", "sqlite", "segment", "net", "store", "capture", "replica", "config", "daemon",
    ],
}

# Single headers that cross the table: of which file, which header.
EXCEPTIONS = [
    ("config/", "store/scheme.h"),  # what a replica's URL may be
    ("config/", "replica/rules.h"),  # what retention rules may be
    ("replica/restore", "sqlite/"),  # the final check of a restored database
    ("replica/follow", "sqlite/"),  # the same, each time it caught up
    ("cmd/seawal/version", "sqlite3.h"),  # which SQLite is this
]

# Other people's headers and the only layer that may see them.
LIBRARIES = {
    "curl/": "net",
    "libdeflate.h": "codec",
    "microhttpd.h": "daemon",
    "openssl/": "codec",
    "sqlite3.h": "sqlite",
    "systemd/": "daemon",
    "xxhash.h": "codec",
    "yaml.h": "config",
    "zlib.h": "codec",
}

# Layers whose every module must have a test; the others are only counted.
TESTED_LAYERS = ["base", "codec"]

BANNED = {
    "alloca": "the stack is small; use mem_new()",
    "atof": "use text_parse_...()",
    "atoi": "use text_parse_u64()",
    "atol": "use text_parse_u64()",
    "gets": "has no limit",
    "localtime": "depends on TZ; use instant_format_ms()",
    "mktemp": "is a race; use pending_file",
    "mktime": "depends on TZ; use instant_parse_ms()",
    "setlocale": "changes what numbers look like everywhere",
    "sprintf": "has no limit; use snprintf() or text_format()",
    "strcat": "has no limit; use buf",
    "strcpy": "has no limit; use text_copy()",
    "strncat": "limits the wrong thing; use buf",
    "strncpy": "may not terminate; use memcpy()",
    "strtok": "has hidden state",
    "strtok_r": "writes into its input",
    "tmpnam": "is a race; use pending_file",
    "vsprintf": "has no limit; use vsnprintf()",
}

BANNED_IN_THE_PRODUCT = {
    "system": "runs a shell",
}

LINE_COLUMNS_MAX = 100
LITERAL_COLUMNS_MAX = 110  # of a line that is nothing but text: it breaks where its reader sees it break
FUNCTION_LINES_MAX = 70
TEST_FUNCTION_LINES_MAX = 100  # a test may hold its table of cases
FILE_LINES_MAX = 900
PARAMETERS_MAX = 6
FOREIGN_SIGNATURES = r"struct MHD_Connection \*\w+,\s+const char \*path"  # callbacks as a library calls them
CLANG_FORMAT_MAJOR = 14  # others lay out a few things differently
C_FOLDERS = ["include", "src", "cmd", "tests"]


def blank(text):
    """The C source TEXT with comments and the insides of literals as spaces; and where // comments begin."""
    pattern = re.compile(
        r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL
    )
    slashes = []

    def replace(match):
        token = match.group(0)
        if token.startswith("//"):
            slashes.append(text.count("\n", 0, match.start()) + 1)
        if token[0] in "\"'":
            return token[0] + re.sub(r"[^\n]", " ", token[1:-1]) + token[0]
        return re.sub(r"[^\n]", " ", token)

    return pattern.sub(replace, text), slashes


class Source:
    """One C file and what is wrong with it."""

    def __init__(self, root, path):
        self.name = path.relative_to(root).as_posix()
        self.text = path.read_text(encoding="utf-8")
        self.lines = self.text.splitlines()
        self.code, self.slashes = blank(self.text)
        self.code_lines = self.code.splitlines()
        self.breaches = []

    def say(self, line, what):
        self.breaches.append(f"{self.name}:{line}: {what}")

    def layer(self):
        parts = self.name.split("/")
        if parts[0] in ("src", "include"):
            return parts[1] if len(parts) > 2 else None
        return "cmd" if parts[0] == "cmd" else None

    def check(self):
        self.check_lines()
        self.check_opening()
        self.check_guard()
        self.check_functions()
        self.check_words()
        self.check_includes()
        return self.breaches

    def check_lines(self):
        for number, line in enumerate(self.lines, 1):
            limit = LITERAL_COLUMNS_MAX if re.fullmatch(r'\s*".*"[,;)]*', line) else LINE_COLUMNS_MAX
            if len(line) > limit:
                self.say(number, f"{len(line)} columns; must be at most {limit}")
            if line != line.rstrip():
                self.say(number, "space at the end of the line")
            if "\t" in line:
                self.say(number, "tab")
        if not self.text.endswith("\n"):
            self.say(len(self.lines), "no newline at the end of the file")
        if len(self.lines) > FILE_LINES_MAX:
            self.say(1, f"{len(self.lines)} lines; must be at most {FILE_LINES_MAX}")
        for number in self.slashes:
            self.say(number, "// comment; use /* */")

    def check_opening(self):
        if not self.text.startswith("/*"):
            self.say(1, "does not begin with a comment that says what the file is for")

    def is_test(self):
        return self.name.startswith("tests/")

    def guard(self):
        """The path below include/ or src/ as a word; elsewhere at least the name of the file."""
        name = re.sub(r"^(include|src)/", "", self.name)
        is_layered = self.name.startswith(("include/", "src/"))
        if not is_layered:
            name = name.split("/")[-1]
        word = re.sub(r"[^A-Za-z0-9]", "_", name).upper()
        return "SEAWAL_" + word if is_layered else r"SEAWAL_\w*" + word

    def check_guard(self):
        if not self.name.endswith(".h"):
            return
        directives = [line.strip() for line in self.code_lines if line.lstrip().startswith("#")]
        expected = rf"#ifndef ({self.guard()})\n#define \1\n(.*\n)?#endif"
        if not re.fullmatch(expected, "\n".join(directives), re.DOTALL):
            self.say(1, f"must be guarded by {self.guard()}")

    def check_functions(self):
        limit = TEST_FUNCTION_LINES_MAX if self.is_test() else FUNCTION_LINES_MAX
        start = None
        for number, line in enumerate(self.code_lines, 1):
            if line == "{":
                start = number
                self.check_parameters(number)
            elif line == "}" and start is not None:
                if number - start + 1 > limit:
                    self.say(start, f"function of {number - start + 1} lines; must be at most {limit}")
                start = None

    def check_parameters(self, brace):
        """The signature is what stands above the brace, back to where the thing before it ended."""
        first = brace - 1
        while first > 0 and self.code_lines[first - 1].strip() and not re.search(
            r"[;}]\s*$|^#", self.code_lines[first - 1]
        ):
            first -= 1
        signature = " ".join(self.code_lines[first : brace - 1])
        if "(" not in signature or re.search(FOREIGN_SIGNATURES, signature):
            return
        depth = 0
        count = 1 - signature.count("...")
        for character in signature[signature.index("(") :]:
            depth += {"(": 1, ")": -1}.get(character, 0)
            count += character == "," and depth == 1
        if count > PARAMETERS_MAX:
            self.say(brace - 1, f"{count} parameters; must be at most {PARAMETERS_MAX}")

    def check_words(self):
        banned = BANNED if self.is_test() else BANNED | BANNED_IN_THE_PRODUCT
        calls = re.compile(r"\b(" + "|".join(banned) + r")\s*\(")
        for number, line in enumerate(self.code_lines, 1):
            for match in calls.finditer(line):
                self.say(number, f"{match.group(1)}(): {banned[match.group(1)]}")
            if re.search(r"\bgoto\b", line):
                self.say(number, "goto; locals own, so return")
            if re.search(r"\btypedef\s+(struct|union)\b", line):
                self.say(number, "typedef of a struct; the word is information")

    def check_includes(self):
        for number, line in enumerate(self.lines, 1):
            match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
            if match is None:
                continue
            if match.group(1) == '"':
                self.check_include(number, match.group(2))
            else:
                self.check_library(number, match.group(2))

    def is_exception(self, header):
        inside = re.sub(r"^(include|src)/", "", self.name)
        return any(inside.startswith(who) and header.startswith(what) for who, what in EXCEPTIONS)

    def check_include(self, number, header):
        layer = self.layer()
        other = header.split("/")[0] if "/" in header else None
        if layer is None or other is None or other == layer:
            return
        if layer not in LAYERS:
            self.say(number, f"layer '{layer}' is not in the table of tidy.py")
            return
        if other not in LAYERS[layer] and not self.is_exception(header):
            self.say(number, f"{layer} may not include {header}")

    def check_library(self, number, header):
        layer = self.layer()
        if layer is None or self.is_exception(header):
            return
        for start, owner in LIBRARIES.items():
            if header.startswith(start) and layer != owner:
                self.say(number, f"<{header}> belongs to {owner}; {layer} may not include it")


def sources(root):
    for folder in C_FOLDERS:
        for path in sorted((root / folder).rglob("*.[ch]")):
            yield Source(root, path)


def untested(root, layer):
    """Modules of LAYER that no test names: test_<module>.c, or test_<its first words>.c."""
    tests = {path.stem for path in (root / "tests/unit" / layer).glob("test_*.c")}
    for path in sorted((root / "src" / layer).glob("*.c")):
        words = path.stem.split("_")
        names = {"test_" + "_".join(words[:count]) for count in range(1, len(words) + 1)}
        if not names & tests:
            yield path.relative_to(root).as_posix()


def check_tests(root):
    for layer in LAYERS:
        missing = list(untested(root, layer))
        if layer in TESTED_LAYERS:
            yield from (f"{name}:1: has no test" for name in missing)
        elif missing:
            print(f"note: {layer}: no test named after {', '.join(Path(name).stem for name in missing)}")


def clang_format():
    """The program of the version that our layout was decided with, or None."""
    for name in (f"clang-format-{CLANG_FORMAT_MAJOR}", "clang-format"):
        program = shutil.which(name)
        if program is None:
            continue
        version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
        if re.search(rf"version {CLANG_FORMAT_MAJOR}\.", version):
            return program
    return None


def check_format(root, names):
    program = clang_format()
    if program is None:
        print(f"note: no clang-format {CLANG_FORMAT_MAJOR}; the layout is not checked")
        return
    if not names:
        return
    run = subprocess.run(
        [program, "--dry-run", *names], cwd=root, capture_output=True, text=True, check=False
    )
    lines = {}
    for name, line in re.findall(r"^(\S+?):(\d+):\d+: warning", run.stderr, re.M):
        lines.setdefault(name, set()).add(int(line))
    for name, numbers in sorted(lines.items()):
        yield f"{name}:{min(numbers)}: not as clang-format lays it out, nor {len(numbers) - 1} more lines"


def breaches(root):
    names = []
    for source in sources(root):
        names.append(source.name)
        yield from source.check()
    yield from check_tests(root)
    yield from check_format(root, names)


def main():
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2]
    found = list(breaches(root.resolve()))
    for line in found:
        print(line)
    print(f"{len(found)} breaches")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
