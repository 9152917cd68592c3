"""What torchrun runs on each machine: a training of seconds.

python -m tests.machines.worker FOLDER SETTINGS_AS_JSON SECONDS_OF_A_STEP
"""

import json
import sys
from pathlib import Path

from ltr.common.errors import cli_main
from tests.helpers.tiny_training import train_rank


@cli_main
def main() -> int:
    seconds = float(sys.argv[3])
    outcome = train_rank(Path(sys.argv[1]), json.loads(sys.argv[2]), dict.fromkeys(range(1, 10_000), seconds))
    return 0 if outcome["finished"] else 128 + outcome["signal"]


if __name__ == "__main__":
    sys.exit(main())
