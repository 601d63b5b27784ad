"""Pipelines and transactions on a Cluster: redis-py's rules of what may be in one, sent by the pipelines of the nodes' clients."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from redis._parsers.commands import CommandPolicies, RequestPolicy
from redis.cluster import ClusterPipeline as RedisClusterPipeline
from redis.cluster import PipelineCommand, PipelineStrategy, TransactionStrategy
from redis.exceptions import (
    AskError,
    ClusterDownError,
    CrossSlotTransactionError,
    MovedError,
    RedisClusterException,
    RedisError,
    TryAgainError,
    WatchError,
)

from greenimi import green
from greenimi.pool.redis.errors import LateAnswer, LostConnection, NotSent
from greenimi.pool.redis.pipeline import Pipeline

if TYPE_CHECKING:
    from redis.cluster import ClusterNode

    from greenimi.pool.redis.cluster import Cluster

__all__ = ["ClusterPipeline"]

_PAUSE = 0.05
_SCRIPTS = ("EVAL", "EVALSHA")
_NOT_HERE = (NotSent, AskError, TryAgainError, ClusterDownError)  # MovedError is an AskError
"""The node has not executed the command; another one will, or this one soon."""


class ClusterPipeline(RedisClusterPipeline):
    """Commands are collected and sent by ``execute()``: to all nodes at the same moment, to each in one piece.

    Those that a node did not execute because their slot has moved are sent on one by one.  What may have been executed is not sent twice.
    """

    def __init__(self, cluster: Cluster, transaction: bool | None) -> None:
        super().__init__(
            nodes_manager=cluster.nodes_manager,
            commands_parser=cluster.commands_parser,
            result_callbacks=cluster.result_callbacks,
            cluster_response_callbacks=cluster.cluster_response_callbacks,
            load_balancing_strategy=cluster.load_balancing_strategy,
            retry=cluster.retry,
            encoding="utf-8",
            decode_responses=cluster.settings.decode,
        )
        self.cluster = cluster
        self.node_flags = cluster.node_flags  # redis-py forgets them
        self._execution_strategy = _Transaction(self) if transaction else _Batches(self)

    def _get_command_keys(self, *args: Any) -> Any:
        return self.cluster._get_command_keys(*args)

    def get_nodes_from_slot(self, command: str, *args: Any) -> list[ClusterNode]:
        return self.cluster.get_nodes_from_slot(command, *args)


class _Batches(PipelineStrategy):
    """Without a transaction."""

    _pipe: ClusterPipeline

    def _send_cluster_commands(
        self, stack: list[PipelineCommand], raise_on_error: bool = True, allow_redirections: bool = True
    ) -> list[Any]:
        began = monotonic()
        batches: dict[str, tuple[ClusterNode, list[PipelineCommand]]] = {}
        for command in stack:
            node = self._node_for(command)
            batches.setdefault(node.name, (node, []))[1].append(command)
        self._run_all(list(batches.values()))
        for command in stack:
            if allow_redirections and isinstance(command.result, _NOT_HERE):
                self._again(command)
            elif (callback := self._pipe.cluster_response_callbacks.get(command.args[0])) and not isinstance(command.result, Exception):
                command.result = callback(command.result, **command.options)
        if raise_on_error:
            self._raise_first_error(stack, began)  # type: ignore[no-untyped-call]
        return [command.result for command in stack]

    def _run_all(self, batches: list[tuple[ClusterNode, list[PipelineCommand]]]) -> None:
        greenlets = [green.spawn(self._run, *batch) for batch in batches[1:]]
        try:
            for batch in batches[:1]:
                self._run(*batch)
            for greenlet in greenlets:
                greenlet.get()
        finally:
            for greenlet in greenlets:
                greenlet.kill(block=False)

    def _run(self, node: ClusterNode, commands: list[PipelineCommand]) -> None:
        pipe: Pipeline = self._pipe.cluster.client_of(node).pipeline(transaction=False)
        try:
            for command in commands:
                pipe.execute_command(*command.args, **command.options)
            for command, result in zip(commands, pipe.execute(raise_on_error=False), strict=True):
                command.result = result
        except (LostConnection, LateAnswer) as error:
            self._pipe.cluster.suspect(node)
            for command in commands:
                command.result = error

    def _again(self, command: PipelineCommand) -> None:
        if isinstance(command.result, MovedError):
            self._pipe.cluster.moved(command.result)
        try:
            command.result = self._pipe.cluster.execute_command(*command.args, **command.options)
        except (RedisError, RedisClusterException) as error:
            command.result = error

    def _node_for(self, command: PipelineCommand) -> ClusterNode:
        passed = command.options.pop("target_nodes", None)
        if passed and not self._is_nodes_flag(passed):  # type: ignore[no-untyped-call]
            nodes = list(self._parse_target_nodes(passed))  # type: ignore[no-untyped-call]
        else:
            nodes = self._determine_nodes(*command.args, request_policy=self._policy(command.args), nodes_flag=passed)
        if len(nodes) != 1:
            raise RedisClusterException(f"{command.args[0]} goes to {len(nodes)} nodes, which is not possible in a pipeline")
        node: ClusterNode = nodes[0]
        return node

    def _policy(self, args: tuple[Any, ...]) -> RequestPolicy:
        pipe = self._pipe
        found: Any = pipe._policy_resolver.resolve(args[0].lower())
        if found:
            policy: RequestPolicy = found.request_policy
            return policy
        name = f"{args[0]} {args[1]}".upper() if len(args) > 1 else ""
        flag = self.command_flags.get(name if name in self.command_flags else args[0].upper())
        if flag:
            policy = pipe._command_flags_mapping.get(flag, CommandPolicies().request_policy)  # type: ignore[assignment]
            return policy  # noqa: RET504 - a dict of two kinds of policies
        if args[0].upper() in _SCRIPTS or pipe._get_command_keys(*args):
            return RequestPolicy.DEFAULT_KEYED
        return CommandPolicies().request_policy


class _Transaction(TransactionStrategy):
    """All keys in one slot: a transaction of that node's client, on a connection of its own while it watches keys."""

    _pipe: ClusterPipeline

    def __init__(self, pipe: ClusterPipeline) -> None:
        super().__init__(pipe)
        self._at_node: Pipeline | None = None

    def _immediate_execute_command(self, *args: Any, **options: Any) -> Any:
        """One that is executed at once, because keys are watched."""
        cluster = self._pipe.cluster
        for _ in range(2):
            watching = self._at_node is not None and self._at_node.watching
            try:
                result = self._node_pipeline().execute_command(*args, **options)
            except MovedError as error:
                cluster.moved(error)
                self._drop()
                if watching:
                    raise WatchError("the slot of the watched keys has moved") from error
            else:
                self._watching = self._node_pipeline().watching
                return result
        raise WatchError("the slot of the keys to watch moves")

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        stack = self._command_queue
        if not stack and not self._watching:
            return []
        if len(self._pipeline_slots) > 1:
            raise CrossSlotTransactionError("All keys involved in a cluster transaction must map to the same slot")
        until = monotonic() + self._pipe.cluster.settings.wait
        while True:
            watching = self._watching
            try:
                return self._execute(stack, raise_on_error)
            except _NOT_HERE as error:
                if watching:
                    raise WatchError("the slot of the watched keys moves") from error
                if monotonic() + _PAUSE > until:
                    raise
                if isinstance(error, MovedError):
                    self._pipe.cluster.moved(error)
                else:
                    self._pipe.cluster.refresh()
                    green.sleep(_PAUSE)

    def _execute(self, stack: list[PipelineCommand], raise_on_error: bool) -> list[Any]:
        pipe = self._node_pipeline()
        try:
            if self._watching:
                pipe.multi()
            for command in stack:
                pipe.execute_command(*command.args, **command.options)
            return pipe.execute(raise_on_error)
        finally:
            self._drop()

    def _node_pipeline(self) -> Pipeline:
        if self._at_node is None:
            if not self._pipeline_slots:
                raise RedisClusterException("At least a command with a key is needed to identify a node")
            node = self._nodes_manager.get_node_from_slot(next(iter(self._pipeline_slots)))
            self._at_node = self._pipe.cluster.client_of(node).pipeline(transaction=True)
        return self._at_node

    def _drop(self) -> None:
        pipe, self._at_node = self._at_node, None
        self._watching = False
        if pipe is not None:
            pipe.reset()

    def reset(self) -> None:
        self._drop()
        super().reset()  # type: ignore[no-untyped-call]
