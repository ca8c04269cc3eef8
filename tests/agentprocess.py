"""The agent as a process that keeps other times: as JSON."""

from __future__ import annotations

import json
import os
import sys

from anabranch_agent.__main__ import main
from anabranch_agent.config import Times

if __name__ == "__main__":
    code = main(Times(**json.loads(sys.argv[1])))
    sys.stderr.flush()
    os._exit(code)
