"""What takes the place of containers' names, ports and folders on this machine."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flows.services import compose, processes
from flows.services.compose import DOCKER
from tasks import addresses


@dataclass(frozen=True)
class Ports:
    """Of the loopback address."""

    prefect_page: int
    """Prefect behind the proxy, with TLS."""
    mlflow_page: int
    """MLflow behind the proxy, with TLS."""
    postgres: int
    prefect: int
    proxy: int
    """Prefect behind the proxy for workers, without TLS."""
    mlflow: int
    objects: int
    health: int
    """Where the proxy says that it is well."""
    workers: tuple[int, ...]
    """Where the workers say so."""

    @classmethod
    def free(cls, workers: int, *pages: int) -> "Ports":
        """Take free ports; those of the two pages may be chosen."""
        found = processes.free_ports(8 + workers)
        prefect_page, mlflow_page = pages or found[:2]
        postgres, prefect, proxy, mlflow, objects, health = found[2:8]
        at = tuple(found[8:])
        return cls(prefect_page, mlflow_page, postgres, prefect, proxy, mlflow, objects, health, at)


def taken(folder: Path, ports: Ports) -> Mapping[str, str]:
    """Say what stands on this machine for what the compose file says.

    Args:
        folder: Where secrets and data lie.
        ports: Of the loopback address.
    """
    return {
        **{
            f"{name}:{port}": f"{addresses.HOST}:{getattr(ports, name)}"
            for name, port in compose.ADDRESSES.items()
        },
        **{
            str(compose.ADDRESSES[name]): str(getattr(ports, name))
            for name in ("prefect", "proxy", "mlflow")
        },
        "0.0.0.0": addresses.HOST,
        "8080": str(ports.health),
        "/data": str(folder / "proxy"),
        "/etc/caddy/Caddyfile": str(DOCKER / "Caddyfile"),
        "/run/secrets": str(folder / "secrets"),
        "/srv/polyspace/docker/mlflow-auth.ini": str(folder / "secrets/mlflow-auth.ini"),
        "/tmp": str(folder / "tmp"),
    }
