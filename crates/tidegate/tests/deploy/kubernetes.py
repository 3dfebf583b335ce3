"""Checks of the manifests that no schema knows: what belongs together is together.

Usage: kubernetes.py MANIFESTS DRAIN_SECONDS
"""

import sys
from pathlib import Path

import yaml


def problems(manifests, drain):
    kinds = {}
    for manifest in manifests:
        kinds.setdefault(manifest["kind"], []).append(manifest)
    for deployment in kinds["Deployment"]:
        spec = deployment["spec"]
        pod = spec["template"]["spec"]
        labels = spec["template"]["metadata"]["labels"]
        if spec["selector"]["matchLabels"].items() - labels.items():
            yield "the Deployment does not select its own pods"
        if pod["terminationGracePeriodSeconds"] <= drain:
            yield "pods are killed before they have drained"
        container = pod["containers"][0]
        ports = {port["name"] for port in container["ports"]}
        for probe, path in [("readinessProbe", "/health/ready"), ("livenessProbe", "/health/live")]:
            http = container[probe]["httpGet"]
            if http["path"] != path or http["port"] not in ports:
                yield f"{probe} asks {http}"
        for service in kinds["Service"]:
            if service["spec"]["selector"].items() - labels.items():
                yield f"the Service {service['metadata']['name']} selects no pod"
            for port in service["spec"]["ports"]:
                if port["targetPort"] not in ports:
                    yield f"the Service {service['metadata']['name']} leads to {port['targetPort']}, which is no port"
        for budget in kinds["PodDisruptionBudget"]:
            if budget["spec"]["selector"]["matchLabels"].items() - labels.items():
                yield "the PodDisruptionBudget protects no pod"


text = Path(sys.argv[1]).read_text()
found = list(problems([manifest for manifest in yaml.safe_load_all(text) if manifest], float(sys.argv[2])))
print("\n".join(found))
sys.exit(1 if found else 0)
