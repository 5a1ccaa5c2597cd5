"""The program ``gthulhu-agent``. Commands import late: ``version`` and ``doctor`` start without the server."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gthulhu_agent import __version__
from gthulhu_agent.configuring.naming import named
from gthulhu_agent.errors import AgentError, UsageError
from gthulhu_agent.settings import PREFIX, SETTINGS, Settings, load

if TYPE_CHECKING:
    from gthulhu_agent.asking import Agent

INTERRUPTED = 130


def _with_settings(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """``--config`` and an option for each setting of ``names``, or for all."""

    def add(command: Callable[..., None]) -> Callable[..., None]:
        for setting in reversed(SETTINGS):
            if not names or setting.name in names:
                told = f"{setting.text} [{setting.takes}]"
                command = click.option(setting.option, setting.field, metavar="VALUE", help=told)(command)
        return click.option(
            "--config",
            metavar="FILE",
            help=f"TOML file of settings; their names are those of the options. Also {PREFIX}CONFIG.",
        )(command)

    return add


def _with_agent(command: Callable[..., None]) -> Callable[..., None]:
    """Options that say which agent is asked, and what it is shown."""
    for option, text in (
        ("--key-file", "PEM of its key."),
        ("--cert-file", "PEM of the certificate that is shown to the agent."),
        ("--ca-file", "PEM of the authorities that may have signed the agent's certificate."),
        ("--secret-file", "File with the secret or token that the agent asks for [the running agent's own]."),
    ):
        command = click.option(option, metavar="FILE", type=click.Path(path_type=Path), help=text)(command)
    url = click.option("--url", metavar="URL", help="http(s)://HOST:PORT of the agent [the one on this machine].")
    return _with_settings("state_dir")(url(command))


def _agent(options: dict[str, Any]) -> Agent:
    from gthulhu_agent import asking  # noqa: PLC0415 - of the commands that ask an agent

    files = {name: options.pop(name) for name in ("secret_file", "ca_file", "cert_file", "key_file")}
    url, config = options.pop("url"), options.pop("config")
    return asking.find(url, asking.Keys(**files), _settings(config, options).state_dir)


def _settings(config: str | None, options: dict[str, object]) -> Settings:
    return load(file=named(config, os.environ), environ=os.environ, options=options)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Node agent of gthulhu-reconcile: turns scheduling intents into kernel scheduling.

    Every setting is an option, a variable GTHULHU_AGENT_… and a key of the --config file; the order is this.
    Exit codes: 0 done, 1 error, 64 usage.
    """


@cli.command("serve")
@_with_settings()
def _serve(config: str | None, **options: object) -> None:
    """Serve the API and enforce what it is sent, until SIGTERM. What is enforced then stays."""
    settings = _settings(config, options)
    from gthulhu_agent import lean  # noqa: PLC0415 - of the server alone

    lean.begin_to_start()
    lean.import_logging()
    lean.import_server()
    from gthulhu_agent import logs, service  # noqa: PLC0415 - the server's libraries, which other commands do without

    logs.configure(level=settings.log_level, style=settings.log_format)
    logs.tell_of_settings(settings.warnings)
    service.serve(settings)


@cli.command("revert")
@_with_settings("state_dir", "enforcer_lock")
def _revert(config: str | None, **options: object) -> None:
    """Put back everything that was changed in the kernel, and keep hands off until ``resume``.

    With a running agent or without: an agent that runs is told to do it.
    """
    from gthulhu_agent import reverting  # noqa: PLC0415 - enforcers load native code

    settings = _settings(config, options)
    told = reverting.revert(settings)
    click.echo(f"put back: {told.restored}; nothing is enforced until: gthulhu-agent resume", err=True)
    if told.warning:
        click.echo(f"warning: {told.warning}", err=True)


@cli.command("resume")
@_with_settings("state_dir")
def _resume(config: str | None, **options: object) -> None:
    """Enforce again after ``revert``: at once where an agent runs, else from its next start."""
    from gthulhu_agent import reverting  # noqa: PLC0415 - enforcers load native code

    reverting.resume(_settings(config, options))


@cli.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="One JSON list instead of text.")
@click.option("--config", metavar="FILE", help="TOML file of settings to look at too, as serve finds it.")
def _doctor(as_json: bool, config: str | None) -> int:
    """Say what this kernel and this user's rights allow, and the cure for what is missing.

    Exit code 1 where the node cannot be seen, no enforcer has all that it needs, or the settings would not do.
    """
    from gthulhu_agent import diagnosis, settingsdoctor  # noqa: PLC0415 - they load native code and try the kernel

    checks = (*diagnosis.examine(), *settingsdoctor.examine(config, os.environ, now=time.time()))
    click.echo(diagnosis.as_json(checks) if as_json else diagnosis.as_text(checks, colour=sys.stdout.isatty()))
    return 0 if diagnosis.sound(checks) else 1


@cli.command("top")
@_with_agent
@click.option("--pod", metavar="NAMESPACE/NAME", help="Show the threads of this pod; its uid does too.")
@click.option(
    "--sort",
    type=click.Choice(["cpu", "wait", "delay", "threads", "name"]),
    default="cpu",
    help="What rows are sorted by [cpu]; keys c, w, d, t, n change it.",
)
@click.option("--interval", type=click.FloatRange(0.5, 3600), default=2.0, help="Seconds between two looks [2].")
@click.option("--once", is_flag=True, help="One table; so it is too where no terminal looks.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object; times are seconds.")
def _top(pod: str | None, sort: str, interval: float, once: bool, as_json: bool, **options: Any) -> None:  # noqa: ANN401 - options of _with_agent
    """What pods use of the CPU, how long they wait for it, and what takes them; refreshed in place until q.

    The delay is how long a thread waits on the average before it runs.
    """
    agent = _agent(options)
    from gthulhu_agent.top import following  # noqa: PLC0415 - rich, which no other command needs
    from gthulhu_agent.top.rates import Sort  # noqa: PLC0415 - as above

    wish = following.Wish(pod, Sort(sort), interval)
    asker = following.Asker(agent, pod)
    if once or as_json or not sys.stdout.isatty():
        following.once(asker, wish, as_json=as_json)
    else:
        following.follow(asker, wish)


@cli.group("explain")
def _explain() -> None:
    """Why something runs as it does."""


@_explain.command("pid")
@click.argument("pid", type=click.IntRange(1, 2**22))
@_with_agent
@click.option("--json", "as_json", is_flag=True, help="What the agent answers, instead of text.")
def _explain_pid(pid: int, as_json: bool, **options: Any) -> None:  # noqa: ANN401 - options of _with_agent
    """Say which intent takes each thread of a process, which lost it and why, and what the kernel says of it."""
    answer = _agent(options).get(f"/v1/processes/{pid}")
    from gthulhu_agent.explained import as_text  # noqa: PLC0415 - of this command alone

    click.echo(json.dumps(answer, indent=2) if as_json else as_text(answer))


@cli.command("version")
def _version() -> None:
    """Print the version."""
    click.echo(f"gthulhu-agent {__version__}")


def main(arguments: list[str] | None = None) -> None:
    """Run and exit: 0 done, 1 error, 64 usage, 130 after Ctrl-C."""
    sys.exit(_run(arguments))


def _run(arguments: list[str] | None) -> int:
    try:
        result: Any = cli.main(args=arguments, prog_name="gthulhu-agent", standalone_mode=False)
    except click.exceptions.Abort:
        return INTERRUPTED
    except click.UsageError as error:
        error.show()
        return UsageError.exit_code
    except AgentError as error:
        click.echo(f"gthulhu-agent: {error}", err=True)
        if error.cure:
            click.echo(f"  cure: {error.cure}", err=True)
        return error.exit_code
    except BrokenPipeError:
        sys.stderr.close()  # who reads has gone; Python would complain once more at exit
        return 1
    # With standalone_mode off click hands back the code of ctx.exit(), and what a command returned.
    return result if isinstance(result, int) else 0
