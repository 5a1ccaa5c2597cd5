"""What each route does. One method an operation of :data:`gthulhu_agent.api.calls.ROUTES`."""

from __future__ import annotations

import asyncio
import platform
from concurrent.futures import ThreadPoolExecutor

from gthulhu_agent import __version__, usage_views, views
from gthulhu_agent.agent import Agent, Refused
from gthulhu_agent.api.answers import Answer, of_json, of_rows
from gthulhu_agent.api.bodies import read_push
from gthulhu_agent.api.calls import Call
from gthulhu_agent.api.logins import read_login
from gthulhu_agent.explaining import find, process_json
from gthulhu_agent.metrics.exposition import Metrics
from gthulhu_agent.tokens import Login
from gthulhu_agent.usage.meter import Meter
from gthulhu_wire.intents import canonical_intent
from gthulhu_wire.refusals import Refusal

API = "v1"


class Handlers:
    """Use cases as answers. ``parser`` has one thread: reading a large set takes several times its size of memory."""

    def __init__(self, agent: Agent, metrics: Metrics, meter: Meter, login: Login) -> None:
        self._agent = agent
        self._login = login
        self._metrics = metrics
        self._meter = meter
        self._parser = ThreadPoolExecutor(max_workers=1, thread_name_prefix="parser")

    def close(self) -> None:
        """End the parser's thread."""
        self._parser.shutdown()

    async def get_desired(self, _call: Call) -> Answer:
        """The set that holds, as it would be pushed."""
        held = self._agent.held
        head = {
            "owner": held.owner,
            "token": held.token,
            "generation": held.generation,
            "digest": held.digest,
        }
        return of_rows(head, "intents", map(canonical_intent, held.intents))

    async def put_desired(self, call: Call) -> Answer:
        """Take a set; the answer says what is held, durably."""
        adopt = call.query.get("adopt", "false")
        if adopt not in ("true", "false"):
            raise Refused(Refusal.BAD_REQUEST, "adopt: must be true or false", "leave it out, or send ?adopt=true")
        pushed, digest = await asyncio.get_running_loop().run_in_executor(self._parser, read_push, call.body)
        held = await self._agent.push(pushed, digest, adopt=adopt == "true")
        return of_json(views.holding_json(self._agent, held))

    async def get_digest(self, _call: Call) -> Answer:
        """What holds, without the intents."""
        return of_json(views.holding_json(self._agent, self._agent.held))

    async def get_state(self, _call: Call) -> Answer:
        """What stands in the way, and what each intent has come to in the kernel."""
        return of_rows(views.state_head(self._agent), "intents", views.state_rows(self._agent))

    async def get_pods(self, _call: Call) -> Answer:
        """The pods that run here, as the node itself knows them."""
        last = self._agent.engine.last
        if last is None:
            raise Refused(Refusal.BUSY, "this node has not been looked at yet", "ask again in a second")
        return of_json(
            {
                "node": self._agent.node,
                "pods": [views.pod_json(pod) for pod in last.snapshot.pods],
                "incomplete": list(last.snapshot.incomplete),
            }
        )

    async def get_process(self, call: Call) -> Answer:
        """One process, also one that is younger than the last pass."""
        engine, pid = self._agent.engine, int(call.parameters["pid"])
        found = None if engine.last is None else find(engine.last, pid)
        if found is None:
            await engine.look_again()
            found = None if engine.last is None else find(engine.last, pid)
        if engine.last is None or found is None:
            raise Refused(Refusal.NOT_FOUND, f"no process {pid} runs here", "kernel threads are not looked at")
        return of_json({"node": self._agent.node, **process_json(engine.last, found)})

    async def get_usage(self, call: Call) -> Answer:
        """What the pods use, read now or a moment ago; with ``pod`` one of them, with its threads."""
        reading, last = await self._meter.fresh(), self._agent.engine.last
        if reading is None or last is None:
            raise Refused(Refusal.BUSY, "this node has not been looked at yet", "ask again in a second")
        head, uid = usage_views.usage_head(self._agent, reading), call.query.get("pod")
        if uid is None:
            return of_rows(head, "pods", usage_views.usage_rows(self._agent, reading.usage.pods))
        pods = [pod for pod in reading.usage.pods if pod.uid == uid]
        if not pods:
            raise Refused(Refusal.NOT_FOUND, "no such pod runs here, or it is not measured", "/v1/usage lists them")
        threads = await self._meter.threads_of(uid)
        told = await self._agent.engine.between(lambda: usage_views.threads_json(last, uid, threads))
        return of_rows({**head, **told}, "pods", usage_views.usage_rows(self._agent, pods))

    async def post_revert(self, _call: Call) -> Answer:
        """Put everything back, and keep hands off."""
        count, warning = await self._agent.revert()
        return of_json({"node": self._agent.node, "restored": count, "warning": warning})

    async def post_resume(self, _call: Call) -> Answer:
        """Enforce again."""
        await self._agent.resume()
        return of_json({"node": self._agent.node})

    async def post_token(self, call: Call) -> Answer:
        """A token, as OAuth 2.0 answers."""
        token = await self._login.token(read_login(call))
        lasts = token.expires_at - self._agent.clock.now
        return of_json({"access_token": token.text, "token_type": "Bearer", "expires_in": lasts})

    async def get_health(self, _call: Call) -> Answer:
        """Whether the process answers."""
        return of_json({"status": "ok"})

    async def get_ready(self, call: Call) -> Answer:
        """Whether what holds is enforced; 503 with the reasons. Who has no secret learns their names alone."""
        reasons = [
            views.condition_json(condition) if call.trusted else {"type": condition.kind.value}
            for condition in self._agent.conditions.blocking
        ]
        return of_json({"ready": not reasons, "reasons": reasons}, 503 if reasons else 200)

    async def get_version(self, _call: Call) -> Answer:
        """Who this is."""
        return of_json(
            {
                "version": __version__,
                "api": API,
                "node": self._agent.node,
                "enforcer": self._agent.engine.enforcer.name,
                "kernel": platform.release(),
            }
        )

    async def get_openapi(self, _call: Call) -> Answer:
        """This API, described."""
        from gthulhu_agent.api.openapi import document  # noqa: PLC0415 - most agents are never asked

        return of_json(document())

    async def get_metrics(self, call: Call) -> Answer:
        """Everything that is counted."""
        body, content_type = await self._metrics.render(call.accept)
        return Answer(200, body, content_type)
