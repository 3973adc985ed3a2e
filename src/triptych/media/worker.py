"""Decoding in processes that may die: a file that crashes or stalls its decoder costs itself, no more.

Parent and worker speak in frames of [length, JSON] and raw bytes over pipes; nothing is unpickled.
"""

from __future__ import annotations

import collections
import contextlib
import importlib
import json
import os
import queue
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, Any, TypeVar

import numpy as np

from triptych.errors import MediaError

Item = TypeVar("Item")
_HEAD = struct.Struct("<I")
_STARTING = 300.0  # seconds a process may take to import what it runs


class Workers:
    """A pool of processes that run named functions on untrusted files.

    Args:
        count: processes; 0 for one a core.
        memory: address space of each, in bytes (Linux).

    Use as a context manager: leaving it ends the processes.
    """

    def __init__(self, count: int = 0, memory: int = 4 * 2**30) -> None:
        self.count = count or len(
            os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
        )
        self.memory = memory
        self._idle: queue.LifoQueue[_Process | None] = queue.LifoQueue()
        for _ in range(self.count):
            self._idle.put(None)  # started when first needed
        self._live: set[_Process] = set()
        self._threads = ThreadPoolExecutor(self.count)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for process in list(self._live):
            process.process.kill()  # a consumer that stops early does not wait for files at work
        self._threads.shutdown()
        while not self._idle.empty():
            if idle := self._idle.get():
                idle.end()

    def map(
        self,
        function: Callable[..., Any],
        items: Iterable[Item],
        arguments: Callable[[Item], tuple[str, list[Any], float]],
        ahead: int = 4,
    ) -> Iterator[tuple[Item, Any]]:
        """Yield (item, result or MediaError) in the order of `items`.

        Args:
            function: a module's function; takes JSON values, returns a JSON value or a uint8 array.
            items: taken lazily, at most `ahead` times the number of processes before their results are.
            arguments: item -> the file's name for errors, the function's arguments, and its seconds.
            ahead: how far to run ahead of the consumer.
        """
        name = f"{function.__module__}:{function.__qualname__}"
        pending: collections.deque[tuple[Item, Future[Any]]] = collections.deque()
        try:
            for item in items:
                pending.append((item, self._threads.submit(self._call, name, *arguments(item))))
                if len(pending) >= ahead * self.count:
                    done, future = pending.popleft()
                    yield done, future.result()
            while pending:
                done, future = pending.popleft()
                yield done, future.result()
        finally:
            for _, future in pending:
                future.cancel()

    def _call(self, name: str, path: str, arguments: list[Any], seconds: float) -> Any:
        process = self._idle.get() or _Process(self.memory)
        self._live.add(process)
        healthy = False
        try:
            result = process.call(name, path, arguments, seconds)
            healthy = not isinstance(result, _Dead)
            return MediaError(path, *result.why) if isinstance(result, _Dead) else result
        finally:
            if not healthy:
                self._live.discard(process)
                process.end()
            self._idle.put(process if healthy else None)


class _Dead:
    def __init__(self, reason: str, remedy: str) -> None:
        self.why = reason, remedy


class _Process:
    def __init__(self, memory: int) -> None:
        self.loaded = False
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
        }
        # -P: a module in the user's folder is never imported in place of ours.
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", f"from triptych.media.worker import serve; serve({memory})"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )

    def call(self, name: str, path: str, arguments: list[Any], seconds: float) -> Any:
        if not self.loaded:  # starting up is not the file's fault
            self.loaded = True
            answer = self._ask({"load": name.split(":")[0]}, _STARTING)
            if isinstance(answer, _Dead):
                return answer
        return self._ask({"name": name, "path": path, "arguments": arguments, "seconds": seconds}, seconds)

    def _ask(self, message: dict[str, Any], seconds: float) -> Any:
        assert self.process.stdin
        assert self.process.stdout
        late = threading.Event()

        def kill() -> None:
            late.set()
            self.process.kill()

        timer = threading.Timer(seconds, kill)
        timer.daemon = True
        timer.start()
        try:
            _send(self.process.stdin, message)
            return _result(self.process.stdout)
        except (OSError, EOFError, ValueError):
            if late.is_set():
                return _Dead(
                    f"takes longer than {seconds:.0f} s to decode", "convert it again, or raise the time limit"
                )
            return _Dead("crashes its decoder", "convert it again")
        finally:
            timer.cancel()

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()  # type: ignore[union-attr]


def serve(memory: int) -> None:
    """Answer calls from standard input until it closes; the loop of one worker process."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not mix with the answers
    calls = sys.stdin.buffer
    os.environ["TRIPTYCH_WORKER"] = "1"
    _limit("RLIMIT_AS", memory)
    _limit("RLIMIT_CORE", 0)
    while True:
        try:
            call = json.loads(_receive(calls))
        except EOFError:
            return
        if "load" in call:
            importlib.import_module(call["load"])
            _send(answers, {"value": None})
            continue
        _limit("RLIMIT_CPU", int(sum(os.times()[:2]) + call["seconds"]) + 2)
        module, function = call["name"].split(":")
        try:
            value = getattr(importlib.import_module(module), function)(*call["arguments"])
        except MediaError as error:
            _send(answers, {"error": [error.path, error.reason, error.remedy]})
        except MemoryError:
            _send(answers, {"error": [call["path"], "there is not enough memory to decode it", "scale it down"]})
        except Exception as error:
            reason = f"can't be decoded ({type(error).__name__}: {str(error)[:200]})"
            _send(answers, {"error": [call["path"], reason, "convert it again"]})
        else:
            if isinstance(value, np.ndarray):
                assert value.dtype == np.uint8
                _send(answers, {"shape": value.shape}, value.tobytes())
            else:
                _send(answers, {"value": value})


def _limit(name: str, value: int) -> None:
    """Lower a soft limit of this process where the system knows it."""
    try:
        import resource
    except ImportError:  # Windows
        return
    kind = getattr(resource, name, None)
    if kind is not None:
        with contextlib.suppress(ValueError, OSError):
            hard = resource.getrlimit(kind)[1]
            resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def _send(pipe: IO[bytes], message: dict[str, Any], body: bytes = b"") -> None:
    text = json.dumps(message).encode()
    pipe.write(_HEAD.pack(len(text)) + text)
    pipe.write(body)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> bytes:
    return _read(pipe, _HEAD.unpack(_read(pipe, _HEAD.size))[0])


def _read(pipe: IO[bytes], size: int) -> bytes:
    data = pipe.read(size)
    if len(data) < size:
        raise EOFError
    return data


def _result(pipe: IO[bytes]) -> Any:
    answer = json.loads(_receive(pipe))
    if "error" in answer:
        return MediaError(*answer["error"])
    if "shape" in answer:
        shape = tuple(answer["shape"])
        return np.frombuffer(_read(pipe, int(np.prod(shape))), np.uint8).reshape(shape)
    return answer["value"]
