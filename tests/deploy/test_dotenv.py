"""Checks that deploy/run and the manager read .env in the same way.

python3 -m unittest discover tests/deploy
"""

import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MANAGER = os.environ.get("MANAGER_BIN") or str(ROOT / "target/debug/stream-manager")
SECONDS = 20
# Contents of .env, and the value of PORT. The values are invalid ports, so that the manager's
# error shows them.
FILES = [
    (b"PORT=word\n", "word"),
    (b"PORT=word", "word"),
    (b"PORT=word\r\nLOG_FORMAT=text\r\n", "word"),
    (b"\xef\xbb\xbfPORT=word\n", "word"),
    (b"PORT=word # the port of the API\n", "word"),
    (b"PORT=word\t#\tthe port of the API\n", "word"),
    (b"PORT=word#1\n", "word#1"),
    (b"PORT=word   \n", "word"),
    (b'PORT="two words"\n', "two words"),
    (b"PORT='two words'\r\n", "two words"),
    (b'PORT="two # words" # the port of the API\n', "two # words"),
    (b"export PORT=word\n", "word"),
    (b"  PORT = word\n", "word"),
    (b"PORT=first\nPORT=word\n", "word"),
    (b"# PORT=first\n\nPORT=word\n", "word"),
]


class Dotenv(unittest.TestCase):
    """The value of a setting in .env."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)

    def run_in_directory(self, command, **settings):
        """Run a command in the directory of .env; return the result."""
        return subprocess.run(
            command,
            cwd=self.directory,
            env={"PATH": os.environ["PATH"]} | settings,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    def read_by_script(self, **settings):
        """Return the value of PORT that deploy/run uses."""
        script = f'. {ROOT}/deploy/lib.sh; root=$PWD; load_dotenv; printf %s "$PORT"'
        result = self.run_in_directory(["bash", "-euc", script], **settings)
        self.assertEqual(result.stderr, "")
        return result.stdout

    def read_by_manager(self):
        """Return the value of PORT that the manager reports as invalid."""
        error = self.run_in_directory([MANAGER]).stderr
        found = re.search('PORT="(.*?)"', error)
        self.assertIsNotNone(found, error)
        return found[1]

    def test_the_script_and_the_manager_read_the_same_value(self):
        for content, value in FILES:
            with self.subTest(content):
                (self.directory / ".env").write_bytes(content)
                self.assertEqual(self.read_by_script(), value)
                self.assertEqual(self.read_by_manager(), value)

    def test_the_environment_takes_precedence(self):
        (self.directory / ".env").write_text("PORT=first\nPORT=second\n")
        self.assertEqual(self.read_by_script(PORT="third"), "third")

    def test_an_empty_value_and_a_comment_are_an_empty_value(self):
        for content in ["PORT=\n", "PORT= # none\n", "PORT=# none\n", 'PORT=""\n']:
            with self.subTest(content):
                (self.directory / ".env").write_text(content)
                self.assertEqual(self.read_by_script(), "")


if __name__ == "__main__":
    unittest.main()
