"""The agent as a process: ``python -m anabranch_agent``."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import traceback

from kubernetes.aio.config import ConfigException

from anabranch.cluster.client import Cluster
from anabranch.store.s3 import S3Store
from anabranch_agent.agent import AgentProcess
from anabranch_agent.config import Config, ConfigError, Times


async def work(config: Config, times: Times) -> None:
    """Run the agent until SIGTERM or SIGINT.

    Raises:
        ConfigError: When no API server is configured.
        BaseException: Any unexpected error.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    store = S3Store(config.bucket, endpoint_url=config.endpoint)
    try:
        cluster = await Cluster.connect(times.request)
    except ConfigException as error:
        message = f"there is no API server: {error} Run it in a pod, or set KUBECONFIG"
        raise ConfigError(message) from error
    try:
        await AgentProcess(config, times, cluster, store).run(stopping)
    finally:
        await cluster.close()


def main(times: Times) -> int:
    """Run the agent; return its exit code."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s"
    )
    logging.getLogger("botocore").setLevel(logging.WARNING)
    try:
        asyncio.run(work(Config.read(os.environ), times))
    except ConfigError as error:
        print(f"anabranch_agent: {error}", file=sys.stderr)  # noqa: T201 (for people)
        return 2
    except BaseException:  # noqa: BLE001 (printed, and the kubelet restarts it)
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    code = main(Times())
    sys.stderr.flush()
    # A thread may still wait for a store that does not answer.
    os._exit(code)
