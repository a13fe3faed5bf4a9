"""The keeper: builds, starts everything, says so in the state file, carries out orders, stops everything.

One asyncio loop in one thread owns all processes; what blocks (HTTP, the build) runs in helper threads.

1. Build the Go tools, or find them built.
2. Side by side: the S3 server and its bucket; the stand-ins for the clouds where they are asked for; per cluster
   etcd and the API server, then the controller manager, `velero install` and Velero; in the first cluster the sample
   application.
3. Ready. Look at the processes five times a second; nothing is restarted silently, the state says what died.
4. On SIGTERM or SIGINT: stop in reverse order of starting.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from sandbox import control, ports, sample
from sandbox.build import Tools, build
from sandbox.clouds import stack as clouds
from sandbox.cluster import ClusterStack
from sandbox.errors import SandboxError
from sandbox.files import private_dir, write_private
from sandbox.guard import MARK, sweep
from sandbox.processes import Process, Program, run_to_end, until
from sandbox.state import CLUSTERS, Progress, read_state, state_file
from sandbox.storage import PORTS, Storage, remove_sockets

Show = Callable[[Progress], None]
STEPS = 2 + 3 * len(CLUSTERS)  # how many `_step`s a start consists of


class Keeper:
    """Everything that runs in `home`. `show` is told about progress, for a terminal."""

    def __init__(self, home: Path, show: Show, *, with_clouds: bool = False) -> None:
        self.home = home
        self._with_clouds = with_clouds
        self._clouds: clouds.Clouds | None = None
        self._steps = STEPS + with_clouds
        self._show = show
        self._processes: dict[str, Process] = {}
        self._clusters: dict[str, ClusterStack] = {}
        self._storage: Storage | None = None
        self._stage, self._message = "building", "The Go tools are being built."
        self._log: Path | None = None
        self._progress = Progress(0, 0, "building Go tools")
        self._running_steps: list[str] = []
        self._quit = asyncio.Event()
        self._one_order = asyncio.Lock()
        self._written = ""

    async def run(self) -> int:
        """Live until told to stop; the exit code. The state file tells everything else."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._quit.set)
        self._publish()
        try:
            if not await self._or_quit(self._start()):
                return await self._end("stopped", "The sandbox was stopped while it was starting.", None)
            async with await asyncio.start_unix_server(self._obey, sock=control.listening_socket(self.home)):
                await self._watch_until_quit()
        except SandboxError as error:
            return await self._end("failed", str(error), error.log)
        except Exception:
            traceback.print_exc()
            return await self._end("failed", "The sandbox met an unexpected error.", self.home / "logs" / "keeper.log")
        return await self._end("stopped", "The sandbox was stopped.", None)

    async def _or_quit(self, work: Awaitable[None]) -> bool:
        """Do `work` unless told to stop before it is done; whether it was done."""
        task, told = asyncio.ensure_future(work), asyncio.ensure_future(self._quit.wait())
        await asyncio.wait({task, told}, return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        if not task.done():
            task.cancel()
            if self._stage == "building":  # a build listens to nothing else
                await asyncio.to_thread(sweep, os.getpid(), collect=False)
            await asyncio.wait({task})
            return False
        await task
        return True

    # Starting

    async def _start(self) -> None:
        tools = await asyncio.to_thread(build, self._report_build)
        self._lay_out(tools)
        self._progress = Progress(0, self._steps, "starting")
        self._say("starting", "The sandbox is starting.")
        stores = [self._start_s3(), *([self._start_clouds(self._clouds)] if self._clouds else [])]
        await _together(*stores, *(self._start_cluster(each) for each in self._clusters.values()))
        self._progress = Progress(self._steps, self._steps, "ready")
        self._say("ready", "The sandbox is ready.")

    def _report_build(self, progress: Progress) -> None:
        """Called from the building thread; a package takes a moment, so not every one is written down."""
        self._progress = progress
        self._publish()

    def _lay_out(self, tools: Tools) -> None:
        names = [*PORTS, *(name for cluster in CLUSTERS for name in ClusterStack.port_names(cluster))]
        chosen = ports.choose_for_home(self.home / "ports.json", [*names, *clouds.PORTS])
        logs = private_dir(self.home / "logs")
        _put_old_logs_aside(logs)
        self._storage = Storage(self.home / "s3", logs, chosen)
        self._storage.prepare()
        if self._with_clouds:
            self._clouds = clouds.Clouds(
                self.home / "clouds", logs, chosen, self._storage.plain_url, self._storage.keys()
            )
            self._clouds.prepare()
        env = self._clouds.velero_env() if self._clouds else {}
        for name in CLUSTERS:
            self._clusters[name] = ClusterStack(name, self.home / name, private_dir(logs / name), chosen, tools, env)
            self._clusters[name].prepare()

    async def _start_s3(self) -> None:
        assert self._storage
        async with self._step("starting the S3 server"):
            await self._start_storage(self._storage)

    async def _start_storage(self, storage: Storage) -> None:
        process = self._launch(storage.program())
        await until("starting the S3 server", storage.bucket_is_there, [process])
        await until("starting the S3 server", storage.tls_answers, [process])

    async def _start_clouds(self, stand_ins: clouds.Clouds) -> None:
        async with self._step("starting the stand-ins for the clouds"):
            processes = [self._launch(program) for program in stand_ins.programs()]
            await until("starting the stand-ins for the clouds", stand_ins.answers, processes)

    async def _start_cluster(self, cluster: ClusterStack) -> None:
        async with self._step(f"starting {cluster.name}"):
            self._launch(cluster.etcd())
            await self._start_api_server(cluster)
            self._launch(cluster.controller_manager())
        await _together(self._install_velero(cluster), self._apply_sample(cluster))
        async with self._step(f"starting Velero on {cluster.name}"):
            await self._start_velero(cluster)

    async def _install_velero(self, cluster: ClusterStack) -> None:
        async with self._step(f"installing Velero on {cluster.name}"):
            if not await asyncio.to_thread(cluster.velero_is_installed):
                await run_to_end(f"installing Velero on {cluster.name}", cluster.velero_install())
                cluster.note_velero_installed()

    async def _apply_sample(self, cluster: ClusterStack) -> None:
        """Before Velero starts: it looks for new kinds every five minutes only, and would leave the ships out."""
        if cluster.name == CLUSTERS[0]:
            async with self._step("applying the sample application"):
                await asyncio.to_thread(sample.apply, cluster.kubeconfig)

    async def _start_api_server(self, cluster: ClusterStack) -> None:
        etcd = self._processes[f"{cluster.name}/etcd"]
        process = self._launch(cluster.api_server())
        await until(f"starting the API server of {cluster.name}", cluster.answers, [etcd, process])

    async def _start_velero(self, cluster: ClusterStack) -> None:
        process = self._launch(cluster.velero())
        request = await asyncio.to_thread(cluster.ask_velero)
        await until(f"starting Velero on {cluster.name}", lambda: cluster.velero_answered(request), [process])

    def _launch(self, program: Program) -> Process:
        program = replace(program, env=program.env | {MARK: str(self.home)})
        process = self._processes.pop(program.name, None) or Process(program)
        process.program = program
        self._processes[program.name] = process  # at the end: stopping goes in reverse order of starting
        process.start()
        return process

    @contextlib.asynccontextmanager
    async def _step(self, what: str) -> AsyncIterator[None]:
        """One step of the start: named while it runs, counted when it is done."""
        self._running_steps.append(what)
        self._count_step(0)
        yield
        self._running_steps.remove(what)
        self._count_step(1)

    def _count_step(self, done: int) -> None:
        what = self._running_steps[-1] if self._running_steps else self._progress.what
        self._progress = Progress(self._progress.done + done, self._steps, what)
        self._publish()

    # Running

    async def _watch_until_quit(self) -> None:
        while not self._quit.is_set():
            self._look()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._quit.wait(), 0.2)

    def _look(self) -> None:
        """Say what died, if anything did."""
        if dead := [process.program for process in self._processes.values() if process.check() == "died"]:
            names = ", ".join(_for_people(program.name) for program in dead)
            self._say("ready", f"degraded: {names} stopped, see {dead[0].log}", dead[0].log)
        elif stopped := [process.program.name for process in self._processes.values() if process.status == "stopped"]:
            self._say("ready", f"The sandbox is ready, except what was stopped on request: {', '.join(stopped)}.")
        else:
            self._say("ready", "The sandbox is ready.")

    async def _obey(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry out one order of `control.order`."""
        error = ""
        try:
            wish = json.loads(await reader.readline())
            async with self._one_order:
                await self._carry_out(str(wish["do"]), str(wish["part"]))
        except SandboxError as refused:
            error = str(refused)
        except (ValueError, KeyError, TypeError):
            error = "The order could not be understood."
        with contextlib.suppress(ConnectionError):
            writer.write(json.dumps({"error": error}).encode() + b"\n")
            await writer.drain()
        writer.close()

    async def _carry_out(self, verb: str, part: str) -> None:
        process = self._processes.get(part)
        if not process or verb not in ("stop", "kill", "start"):
            raise SandboxError(f"The sandbox cannot {verb} {part}. Its parts are {', '.join(self._processes)}.")
        if verb != "start":
            await process.stop(kill=verb == "kill")
        elif process.check() != "running":
            await self._start_again(process)
        self._look()

    async def _start_again(self, process: Process) -> None:
        cluster_name, _, program = process.program.name.rpartition("/")
        cluster = self._clusters.get(cluster_name)
        if cluster and program == "kube-apiserver":
            await self._start_api_server(cluster)
        elif cluster and program == "velero":
            await self._start_velero(cluster)
        elif self._storage and program == "s3":
            await self._start_storage(self._storage)
        else:
            self._launch(process.program)

    # Ending, and the state file

    async def _end(self, stage: str, message: str, log: Path | None) -> int:
        for process in reversed(self._processes.values()):
            await process.stop()
        self._say(stage, message, log)
        return 0 if stage == "stopped" else 1

    def _say(self, stage: str, message: str, log: Path | None = None) -> None:
        self._stage, self._message, self._log = stage, message, log
        self._publish()

    def _publish(self) -> None:
        text = json.dumps(self._snapshot(), indent=1)
        if text != self._written:
            self._written = text
            write_private(state_file(self.home), text)
            self._show(self._progress)

    def _pid(self, name: str) -> int | None:
        return self._processes[name].pid if name in self._processes else None

    def _snapshot(self) -> dict[str, Any]:
        parts = {
            name: {"pid": process.pid, "status": process.status, "log": str(process.program.log)}
            for name, process in self._processes.items()
        }
        return {
            "stage": self._stage,
            "progress": vars(self._progress),
            "message": self._message,
            "log": str(self._log) if self._log else None,
            "keeper_pid": os.getpid(),
            "parts": parts,
            "clusters": {name: cluster.public(self._pid(f"{name}/velero")) for name, cluster in self._clusters.items()},
            "s3": self._storage.public() if self._storage else None,
            "clouds": self._clouds.public() if self._clouds else None,
        }


async def _together(*steps: Awaitable[None]) -> None:
    """All steps side by side; the first failure ends the others and is raised."""
    tasks = [asyncio.ensure_future(step) for step in steps]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _for_people(part: str) -> str:
    """`harbor-east/velero` → `velero of harbor-east`."""
    cluster, _, program = part.rpartition("/")
    return f"{program} of {cluster}" if cluster else program


def _put_old_logs_aside(logs: Path) -> None:
    """One earlier generation is kept, so that logs do not grow for ever."""
    for log in logs.rglob("*.log"):
        if log.name != "keeper.log":
            log.replace(log.with_name(f"{log.name}.1"))


def keep(home: Path, show: Show, *, with_clouds: bool = False) -> int:
    """Be the keeper of `home`; the exit code."""
    return asyncio.run(Keeper(home, show, with_clouds=with_clouds).run())


def after_keeper(home: Path) -> None:
    """When nothing of the sandbox is left: correct the state of a keeper that could not say goodbye."""
    state = read_state(home)
    if state and state.stage not in ("stopped", "failed"):
        raw = json.loads(state_file(home).read_text())
        ended = {"stage": "failed", "message": "The sandbox's keeper was killed. Start it again.", "log": None}
        write_private(state_file(home), json.dumps(raw | ended | {"parts": {}}, indent=1))
    (home / "control.sock").unlink(missing_ok=True)
    remove_sockets(ports.saved(home / "ports.json"))
