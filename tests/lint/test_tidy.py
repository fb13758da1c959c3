#!/usr/bin/env python3
"""test_tidy - every check of tidy.py accepts what is right and can fail"""
import contextlib
import io
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import tidy

GOOD_C = '''/* thing - an example */
#include "codec/thing.h"

#include "base/alloc.h"

#include <stdio.h>

/* A "string" with 'quotes', a // that is none, and strcpy( in a comment. */
int thing_size(const char *text)
{
    char quote = '"';

    printf("http://x goto strcpy(%s)%c", text, quote);
    return 0;
}
'''

GOOD_H = '''/* thing - an example */
#ifndef SEAWAL_CODEC_THING_H
#define SEAWAL_CODEC_THING_H

int thing_size(const char *text);

#endif
'''


class TidyTest(unittest.TestCase):
    def setUp(self):
        self.layout = mock.patch.object(tidy, "clang_format", return_value=None)
        self.layout.start()
        self.addCleanup(mock.patch.stopall)
        self.scratch = tempfile.TemporaryDirectory()
        self.root = Path(self.scratch.name).resolve()
        self.write(".clang-format", (Path(__file__).resolve().parents[2] / ".clang-format").read_text())
        self.write("src/codec/thing.c", GOOD_C)
        self.write("include/codec/thing.h", GOOD_H)
        self.write("tests/unit/codec/test_thing.c", "/* test_thing - nothing */\n")

    def tearDown(self):
        self.scratch.cleanup()

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def breaches(self):
        with contextlib.redirect_stdout(io.StringIO()):
            return list(tidy.breaches(self.root))

    def check(self, *expected):
        """The breaches are exactly EXPECTED, each given as how it begins."""
        found = self.breaches()
        self.assertEqual(len(found), len(expected), found)
        for line, start in zip(found, expected):
            self.assertTrue(line.startswith(start), f"{line} is not {start}")

    def check_added(self, text, *expected):
        """TEXT behind good code makes EXPECTED breaches; LINE stands for the line where TEXT begins."""
        self.write("src/codec/thing.c", GOOD_C + "\n" + text)
        line = GOOD_C.count("\n") + 2
        self.check(*(what.replace("LINE", str(line)) for what in expected))

    def test_good_code_passes(self):
        self.check()

    def test_long_line(self):
        self.check_added("/* " + "x" * 94 + " */\n")
        self.check_added("/* " + "x" * 95 + " */\n", "src/codec/thing.c:LINE: 101 columns")

    def test_lines_of_text_are_longer(self):
        text = 'const char *x =\n    "{}",\n    "y";\n'
        self.check_added(text.format("x" * 103))
        self.check_added(text.format("x" * 104), "src/codec/thing.c:18: 111 columns")

    def test_columns_are_characters(self):
        self.check_added("/* " + "é" * 94 + " */\n")

    def test_space_tab_and_missing_newline(self):
        self.check_added("/* x\n * y */ \n", "src/codec/thing.c:18: space at the end")
        self.check_added("/* x\ty */\n", "src/codec/thing.c:LINE: tab")
        self.write("src/codec/thing.c", GOOD_C.rstrip("\n"))
        self.assertIn("no newline", " ".join(self.breaches()))

    def test_long_function(self):
        lines = "    printf(\"x\");\n"
        self.check_added("void thing_run(void)\n{\n" + lines * 68 + "}\n")
        self.check_added(
            "void thing_run(void)\n{\n" + lines * 69 + "}\n", "src/codec/thing.c:18: function of 71 lines"
        )

    def test_tests_have_longer_functions(self):
        body = "    printf(\"x\");\n" * 98
        self.write("tests/unit/codec/test_thing.c", "/* t */\nvoid thing_run(void)\n{\n" + body + "}\n")
        self.check()
        body += "    printf(\"x\");\n"
        self.write("tests/unit/codec/test_thing.c", "/* t */\nvoid thing_run(void)\n{\n" + body + "}\n")
        self.check("tests/unit/codec/test_thing.c:3: function of 101 lines")

    def test_long_file(self):
        self.check_added("int x;\n" * 900, "src/codec/thing.c:1: 916 lines")

    def test_parameters(self):
        self.check_added("void thing_run(int a, int b, int c, int d, int e, int f)\n{\n}\n")
        self.check_added("void thing_run(int a, int b, int c, int d, int e, int f, ...)\n{\n}\n")
        self.check_added(
            "void thing_run(int a, int b, int c, int d, int e, int f, int g)\n{\n}\n",
            "src/codec/thing.c:LINE: 7 parameters",
        )

    def test_slash_comment(self):
        self.check_added("int x; // why\n", "src/codec/thing.c:LINE: // comment")

    def test_banned_calls(self):
        for name in tidy.BANNED | tidy.BANNED_IN_THE_PRODUCT:
            self.check_added(f"int x = {name}(0);\n", f"src/codec/thing.c:LINE: {name}()")
            self.check_added(f"int x = my_{name}(0);\n")

    def test_system_is_for_tests(self):
        self.write("tests/unit/codec/test_thing.c", "/* t */\nint x = system(0);\n")
        self.check()

    def test_goto_and_typedef(self):
        self.check_added(
            "void thing_run(void)\n{\n    goto end;\n}\n", "src/codec/thing.c:19: goto"
        )
        self.check_added("typedef struct thing thing;\n", "src/codec/thing.c:LINE: typedef")

    def test_opening(self):
        self.write("src/codec/thing.c", GOOD_C.split("\n", 1)[1])
        self.check("src/codec/thing.c:1: does not begin")

    def test_guard(self):
        for wrong in (
            GOOD_H.replace("SEAWAL_CODEC_THING_H", "SEAWAL_THING_H"),
            GOOD_H.replace("#define SEAWAL_CODEC_THING_H", "#define SEAWAL_CODEC_THINK_H"),
            GOOD_H.replace("#ifndef SEAWAL_CODEC_THING_H\n", ""),
            GOOD_H + "#define MORE 1\n",
            GOOD_H.replace("#endif\n", ""),
        ):
            self.write("include/codec/thing.h", wrong)
            self.assertIn("must be guarded", " ".join(self.breaches()))

    def test_guard_of_a_test_names_the_file(self):
        text = "/* t */\n#ifndef {0}\n#define {0}\n#endif\n"
        self.write("tests/harness/world.h", text.format("SEAWAL_TESTS_WORLD_H"))
        self.check()
        self.write("tests/harness/world.h", text.format("SEAWAL_TESTS_H"))
        self.check("tests/harness/world.h:1: must be guarded")

    def test_includes_go_down(self):
        self.check_added('#include "store/store.h"\n', "src/codec/thing.c:LINE: codec may not include store")
        self.check_added('#include "other/thing.h"\n', "src/codec/thing.c:LINE: codec may not include other")
        self.check_added('#include "thing_priv.h"\n')
        self.check_added("#include <curl/curl.h>\n", "src/codec/thing.c:LINE: <curl/curl.h> belongs to net")
        self.check_added("#include <zlib.h>\n")

    def test_exceptions_are_narrow(self):
        text = '/* x */\n#include "{}"\n'
        self.write("src/replica/restore_final.c", text.format("sqlite/database.h"))
        self.check()
        self.write("src/replica/upload.c", text.format("sqlite/database.h"))
        self.check("src/replica/upload.c:2: replica may not include sqlite")
        self.write("src/replica/upload.c", "/* x */\n")
        self.write("src/config/config.c", text.format("store/store.h"))
        self.check("src/config/config.c:2: config may not include store/store.h")

    def test_a_library_has_one_layer(self):
        self.write("cmd/seawal/version.c", "/* x */\n#include <sqlite3.h>\n")
        self.check()
        self.write("cmd/seawal/other.c", "/* x */\n#include <sqlite3.h>\n")
        self.check("cmd/seawal/other.c:2: <sqlite3.h> belongs to sqlite")

    def test_unknown_layer(self):
        self.write("src/misc/x.c", '/* x */\n#include "base/alloc.h"\n')
        self.check("src/misc/x.c:2: layer 'misc' is not in the table")

    def test_module_without_a_test(self):
        self.write("src/codec/other_zlib.c", "/* x */\n")
        self.check("src/codec/other_zlib.c:1: has no test")
        self.write("tests/unit/codec/test_other.c", "/* x */\n")
        self.check()

    @unittest.skipIf(tidy.clang_format() is None, "no clang-format of our version")
    def test_layout(self):
        self.layout.stop()
        self.check()
        self.check_added("int  x;\n", "src/codec/thing.c:17: not as clang-format")


if __name__ == "__main__":
    unittest.main()
