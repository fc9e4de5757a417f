"""``openecr worker``: one more job process."""

import os

from openecr import data_dir as directories
from openecr import logs
from openecr.cli import options
from openecr.processes import address
from openecr.processes.startup import Startup


def worker(
    data_dir: options.DataDir = None, config: options.ConfigFile = None, log_format: options.LogFormat = None
) -> int:
    """Run one more job process on a data directory, beside the one that `openecr serve` starts."""
    settings = options.settings(config, data_dir=data_dir)
    directories.require(settings)
    running = address.find(settings.data_dir)
    chosen_format = options.log_format(log_format)
    logs.configure(chosen_format)
    base_url = running.url if running is not None else address.base_url(settings)
    from openecr.processes.children import run_job_process

    return run_job_process(Startup(settings, base_url, chosen_format, os.getppid()), supervised=False)
