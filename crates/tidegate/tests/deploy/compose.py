"""Checks a compose file against the specification, and what the specification leaves to its reader.

Usage: compose.py docker-compose.yml DRAIN_SECONDS
"""

import sys
from pathlib import Path

import yaml
from compose_spec import PyCompose


def problems(path, drain):
    # Merge keys (<<) belong to YAML, not to compose: resolve them first.
    compose = yaml.safe_load(path.read_text())
    try:
        PyCompose.from_yaml(yaml.safe_dump(compose))
    except ValueError as error:
        yield f"not what the specification allows: {error}"
    services = compose["services"]
    for name, service in services.items():
        for other in service.get("depends_on", []):
            if other not in services:
                yield f"{name} depends on {other}, which does not exist"
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                if not (path.parent / source).exists():
                    yield f"{name} mounts {source}, which does not exist"
            elif source not in compose.get("volumes", {}):
                yield f"{name} uses the volume {source}, which is not declared"
        for port in service.get("ports", []):
            if not str(port).startswith("127.0.0.1:"):
                yield f"{name} publishes {port} on every interface"
        if "build" in service:
            if int(service.get("stop_grace_period", "10s").rstrip("s")) <= drain:
                yield f"{name} is killed before it has drained"
        elif "healthcheck" not in service:
            yield f"{name} has no healthcheck"


found = list(problems(Path(sys.argv[1]), float(sys.argv[2])))
print("\n".join(found))
sys.exit(1 if found else 0)
