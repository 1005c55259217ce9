"""drain3 with its defaults, at the other end of a pipe.

Reads a number, then as many lines, and answers with the seconds that drain3
took to find their templates, and how many it knows; again and again.
"""

import sys
import time

from drain3 import TemplateMiner
from drain3.template_miner_config import TemplateMinerConfig

miner = TemplateMiner(config=TemplateMinerConfig())
for count in sys.stdin:
    lines = [sys.stdin.readline().rstrip("\n") for _ in range(int(count))]
    began = time.thread_time()
    for line in lines:
        miner.add_log_message(line)
    took = time.thread_time() - began
    print(took, len(miner.drain.clusters), flush=True)
