"""The DSL text that is compiled: an island of five objects, its route by header, and a default route."""

ISLAND_TYPE = """\
apiVersion: replicator.dev/v1alpha1
kind: IslandType
metadata: {name: cart}
spec:
  params:
    version: {type: string, default: "2.0.1"}
    memory: {type: string, default: 256Mi}
  ports:
    http: {unit: api, port: http}
  units:
    api:
      kind: Deployment
      replicas: 2
      image: "registry.example.com/shop/cart:{{ params.version }}"
      ports: {http: 8080}
      env:
        ISLAND: "{{ island.name }}"
        REDIS_ADDR: "{{ address('redis', 'redis') }}"
      files:
        /etc/cart/app.yaml: |
          island: {{ island.name }}
          listen: 0.0.0.0:8080
          redis: {{ address('redis', 'redis') }}
      resources: {requests: {cpu: 100m, memory: "{{ params.memory }}"}}
      readinessProbe: {httpGet: {path: /ready, port: http}, periodSeconds: 5}
    redis:
      kind: Deployment
      image: redis:7.4
      ports: {redis: 6379}
"""

ISLAND_SET = """\
---
apiVersion: replicator.dev/v1alpha1
kind: IslandSet
metadata: {name: cart, namespace: shop}
spec:
  type: cart
"""

ROUTING = """\
---
apiVersion: replicator.dev/v1alpha1
kind: Routing
metadata: {name: shop, namespace: edge}
spec:
  provider: gloo
  gloo: {destinations: kube}
  hosts: [shop.example.com]
  delegation: island
  routes:
    - name: by-header
      each: cart
      match: {headers: {x-island: "{{ island.key }}"}}
    - name: default
      to: {island: cart/FIRST}
"""


def _document(members: str, first_key: str) -> str:
    return ISLAND_TYPE + ISLAND_SET + members + ROUTING.replace("FIRST", first_key)


def by_count(count: int) -> str:
    """Islands by number, all with the same parameters."""
    return _document(f"  replicas: {count}\n", "0")


def by_two_ways(count: int) -> str:
    """Islands by number, with a route by path beside that by header."""
    by_path = """\
    - name: by-path
      each: cart
      match: {path: {prefix: "/i/{{ island.key }}"}}
"""
    return by_count(count).replace("  routes:\n", f"  routes:\n{by_path}")


def by_keys(keys: list[str]) -> str:
    """Islands by key, with nothing of their own."""
    return _document("  islands:\n" + "".join(f"    {key}: {{}}\n" for key in keys), keys[0])


def by_keys_with_parameters(count: int) -> str:
    """Islands by key, with two parameters of their own each."""
    members = "".join(
        f"    {_key(index)}: {{params: {{version: 2.{index % 7}.{index}, memory: {64 + index % 512}Mi}}}}\n"
        for index in range(count)
    )
    return _document("  islands:\n" + members, _key(0))


def by_shapes(count: int, shapes: int) -> str:
    """Islands by key that differ in structure: by a value of their own, some have an object more."""
    extra = "".join(
        f"""    - when: "{{{{ params.shape == {shape} }}}}"
      manifest: {{apiVersion: v1, kind: ConfigMap, metadata: {{name: extra}}, data: {{shape: "{shape}"}}}}
"""
        for shape in range(1, 3)
    )
    island_type = ISLAND_TYPE.replace("  params:\n", "  params:\n    shape: {type: integer}\n")
    members = "".join(f"    {_key(index)}: {{params: {{shape: {index % shapes}}}}}\n" for index in range(count))
    routing = ROUTING.replace("FIRST", _key(0))
    return island_type + f"  resources:\n{extra}" + ISLAND_SET + "  islands:\n" + members + routing


def _key(index: int) -> str:
    return f"tenant-{index:05d}"
